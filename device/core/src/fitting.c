#include "fitting.h"

#include "limiter.h"

static const struct {
    uint8_t field, count;
    uint16_t offset;
    float low, high;
} RANGES[] = {
    {8, NEUROAMP_AUDIOGRAM_POINTS, offsetof(neuroamp_fitting, thresholds_db_hl), -10.0f, 120.0f},
    {9, NEUROAMP_CHANNELS, offsetof(neuroamp_fitting, gain_65_db), 0.0f, 70.0f},
    {10, NEUROAMP_CHANNELS, offsetof(neuroamp_fitting, compression_ratio), 1.0f, 4.0f},
    {11, 1, offsetof(neuroamp_fitting, knee_db_spl), 20.0f, 80.0f},
    {12, 1, offsetof(neuroamp_fitting, attack_s), 0.001f, 0.1f},
    {13, 1, offsetof(neuroamp_fitting, release_s), 0.01f, 3.0f},
    {14, 1, offsetof(neuroamp_fitting, mpo_db_spl), NA_MPO_MIN_DB_SPL, NA_MPO_MAX_DB_SPL},
    {15, 1, offsetof(neuroamp_fitting, noise_reduction), 0.0f, 1.0f},
};

na_fault na_find_fault(const neuroamp_fitting *fitting) {
    for (size_t i = 0; i < sizeof RANGES / sizeof *RANGES; i++) {
        const float *values = (const float *)(const void *)((const char *)fitting + RANGES[i].offset);
        for (uint8_t k = 0; k < RANGES[i].count; k++) {
            if (!na_within(values[k], RANGES[i].low, RANGES[i].high)) {
                return (na_fault){RANGES[i].field, k};
            }
        }
    }
    return (na_fault){0, 0};
}
