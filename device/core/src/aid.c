/* The aid around the chains: calibration, fades, hand-over between the two sides, reports. */
#include "neuroamp/aid.h"

#include "arena.h"
#include "chain.h"
#include "elementary.h"
#include "fitting.h"
#include "mailbox.h"

#include <string.h>

#define FADE_IN_S 1.0f /* longer than the compressor's release: its levels have settled by then */
#define FADE_OUT_S 0.02f
#define CROSS_FADE_S 0.1f
#define PAUSE_S 0.2f /* without the net after a late hop */
#define LEVEL_S 0.125f
#define PEAK_OF_SINE 1.414213562f
#define BELOW 0.999998f /* more than the rounding errors of a ceiling's computation */
#define REFERENCE_PA 2e-5f
#define LEAST_POWER 4e-20f /* Pa^2; -100 dB SPL */
#define LOUDEST_PA 2000.0f /* 160 dB SPL, the most that a level can show */

enum { MAX_EARS = 2 };

static const float channel_hz[NEUROAMP_CHANNELS] = {125.0f,  250.0f,  500.0f,  750.0f,
                                                    1000.0f, 1500.0f, 2000.0f, 3000.0f,
                                                    4000.0f, 6000.0f, 8000.0f};

typedef struct na_conversion {
    neuroamp_calibration calibration;
    int is_known; /* 0: it is the assumed one */
} na_conversion;

typedef struct na_ear {
    neuroamp *chain;

    /* The control side's own. */
    neuroamp_fitting wanted;
    na_conversion conversion;
    float volume_db;

    /* From the control side to the audio side. */
    na_mailbox fitting_box, conversion_box;
    neuroamp_fitting fitting_slots[NA_SLOTS];
    na_conversion conversion_slots[NA_SLOTS];
    atomic_uint volume_bits; /* the factor's, as float */

    /* The audio side's own. */
    neuroamp_fitting from, to; /* of a cross-fade */
    uint32_t faded;            /* hops of it that are over */
    na_conversion in_use;
    float fade;         /* factor on the output */
    float *sound;       /* [hop], pascals */
    float input_sum;    /* Pa^2, of the hop so far */
    float output_sum;
    float input_power;  /* Pa^2, averaged */
    float output_power;
    float peak;         /* Pa */
    uint32_t fittings;
} na_ear;

struct neuroamp_aid {
    na_ear ear[MAX_EARS]; /* by `find`; `chain` null: there is no such ear */
    uint32_t channel_bin[NEUROAMP_CHANNELS];
    uint32_t hop;
    uint32_t cross_fade_hops;
    uint32_t pause_hops;
    float fade_in, fade_out; /* a sample */
    float level_share;       /* of the newest hop in the averaged power */
    neuroamp_clock clock;
    void *context;
    uint64_t deadline;

    atomic_uint output; /* neuroamp_output */
    atomic_uint late;   /* told since the last hop */

    /* The audio side's own. */
    uint32_t filled; /* samples of the hop that have come */
    uint32_t paused; /* hops that are still to pass without the net */
    uint64_t hops, late_hops;
    uint64_t ticks; /* spent on this hop so far */

    /* Odd while the audio side writes what the control side may read. */
    atomic_uint sequence;
};

static const na_ear *find_const(const neuroamp_aid *aid, neuroamp_ear ear) {
    if (ear != NEUROAMP_LEFT && ear != NEUROAMP_RIGHT) {
        return NULL;
    }
    const na_ear *found = &aid->ear[ear == NEUROAMP_RIGHT];
    return found->chain == NULL ? NULL : found;
}

static na_ear *find(neuroamp_aid *aid, neuroamp_ear ear) {
    if (ear != NEUROAMP_LEFT && ear != NEUROAMP_RIGHT) {
        return NULL;
    }
    na_ear *found = &aid->ear[ear == NEUROAMP_RIGHT];
    return found->chain == NULL ? NULL : found;
}

/* --- Before the sound starts. --- */

/* What is assumed of an ear without calibration: a loud receiver, and therefore a low limit. */
static na_conversion uncalibrated(neuroamp_ear ear) {
    const na_conversion assumed = {{(int32_t)ear, NEUROAMP_UNCALIBRATED_PA,
                                    1.0f / NEUROAMP_UNCALIBRATED_PA,
                                    NEUROAMP_UNCALIBRATED_CEILING_DB_SPL},
                                   0};
    return assumed;
}

static neuroamp_status check_calibration(neuroamp_ear ear, const neuroamp_calibration *given) {
    if (given->ear != (int32_t)ear) {
        return NEUROAMP_WRONG_EAR;
    }
    const int is_sound = na_within(given->microphone_pa, 0.19f, 640.0f) &&
                         na_within(given->receiver_per_pa, 1.0f / 640.0f, 1.0f / 0.19f) &&
                         na_within(given->ceiling_db_spl, NA_MPO_MIN_DB_SPL, NA_MPO_MAX_DB_SPL);
    return is_sound ? NEUROAMP_OK : NEUROAMP_BAD_CALIBRATION;
}

size_t neuroamp_aid_size(const void *model, size_t model_bytes, unsigned ears) {
    neuroamp_info info;
    const size_t chain = neuroamp_size(model, model_bytes);
    if (chain == 0 || ears < 1 || ears > MAX_EARS ||
        neuroamp_check_model(model, model_bytes, &info) != NEUROAMP_OK) {
        return 0;
    }
    na_arena arena = {NULL, 0};
    na_take(&arena, 1, sizeof(neuroamp_aid));
    for (unsigned i = 0; i < ears; i++) {
        na_take(&arena, 1, chain);
        na_take(&arena, info.hop, sizeof(float));
    }
    return arena.used;
}

static void convert_by(na_ear *ear, const na_conversion *conversion) {
    const neuroamp_calibration *calibration = &conversion->calibration;
    ear->in_use = *conversion;
    const float device_pa =
        PEAK_OF_SINE * REFERENCE_PA * na_factor_from_db(calibration->ceiling_db_spl);
    /* Beyond full scale the converter would clip: the limiter is to do it, and knows how. */
    const float most_pa = na_min(device_pa, 1.0f / calibration->receiver_per_pa);
    na_set_device_ceiling(ear->chain, BELOW * most_pa);
    ear->fade = 0.0f;
}

static neuroamp_status make_ear(na_ear *ear, neuroamp_ear side, const neuroamp_aid_ear *given,
                                const void *model, size_t model_bytes, const neuroamp_info *info,
                                na_arena *arena) {
    const size_t bytes = neuroamp_size(model, model_bytes);
    void *memory = na_take(arena, 1, bytes);
    ear->sound = na_take(arena, info->hop, sizeof(float));
    memset(ear->sound, 0, info->hop * sizeof(float));
    neuroamp_status status =
        neuroamp_init(memory, bytes, model, model_bytes, side, given->fitting, &ear->chain);
    if (status != NEUROAMP_OK) {
        return status;
    }
    ear->conversion = uncalibrated(side);
    if (given->calibration != NULL) {
        status = check_calibration(side, given->calibration);
        if (status != NEUROAMP_OK) {
            return status;
        }
        ear->conversion = (na_conversion){*given->calibration, 1};
    }
    ear->wanted = ear->from = ear->to = *given->fitting;
    ear->input_power = ear->output_power = LEAST_POWER;
    na_mailbox_init(&ear->fitting_box);
    na_mailbox_init(&ear->conversion_box);
    atomic_init(&ear->volume_bits, na_bits(1.0f));
    convert_by(ear, &ear->conversion);
    return NEUROAMP_OK;
}

neuroamp_status neuroamp_aid_init(void *memory, size_t memory_bytes, const void *model,
                                  size_t model_bytes, const neuroamp_aid_ear *left,
                                  const neuroamp_aid_ear *right, neuroamp_aid **aid) {
    const neuroamp_aid_ear *given[MAX_EARS] = {left, right};
    const neuroamp_ear sides[MAX_EARS] = {NEUROAMP_LEFT, NEUROAMP_RIGHT};
    unsigned ears = 0;
    for (size_t i = 0; i < MAX_EARS; i++) {
        ears += given[i] != NULL && given[i]->fitting != NULL;
    }
    if (memory == NULL || (uintptr_t)memory % NEUROAMP_ALIGNMENT != 0 || aid == NULL || ears == 0) {
        return NEUROAMP_BAD_ARGUMENT;
    }
    neuroamp_info info;
    neuroamp_status status = neuroamp_check_model(model, model_bytes, &info);
    if (status != NEUROAMP_OK) {
        return status;
    }
    if (memory_bytes < neuroamp_aid_size(model, model_bytes, ears)) {
        return NEUROAMP_TOO_LITTLE_MEMORY;
    }
    na_arena arena = {memory, 0};
    neuroamp_aid *made = na_take(&arena, 1, sizeof(neuroamp_aid));
    memset(made, 0, sizeof *made);
    const float rate = (float)info.sample_rate_hz, hop = (float)info.hop;
    made->hop = info.hop;
    made->cross_fade_hops = 1 + (uint32_t)(CROSS_FADE_S * rate / hop);
    made->pause_hops = 1 + (uint32_t)(PAUSE_S * rate / hop);
    made->fade_in = 1.0f / (FADE_IN_S * rate);
    made->fade_out = 1.0f / (FADE_OUT_S * rate);
    made->level_share = -na_expm1(-hop / (LEVEL_S * rate));
    for (size_t c = 0; c < NEUROAMP_CHANNELS; c++) {
        const float bin = channel_hz[c] * 2.0f / rate * (float)(info.bins - 1) + 0.5f;
        made->channel_bin[c] = (uint32_t)na_min(bin, (float)(info.bins - 1));
    }
    atomic_init(&made->output, NEUROAMP_SOUNDING);
    atomic_init(&made->late, 0u);
    atomic_init(&made->sequence, 0u);
    for (size_t i = 0; i < MAX_EARS; i++) {
        if (given[i] != NULL && given[i]->fitting != NULL) {
            status = make_ear(&made->ear[i], sides[i], given[i], model, model_bytes, &info, &arena);
            if (status != NEUROAMP_OK) {
                return status;
            }
            made->ear[i].faded = made->cross_fade_hops;
        }
    }
    *aid = made;
    return NEUROAMP_OK;
}

neuroamp *neuroamp_aid_chain(neuroamp_aid *aid, neuroamp_ear ear) {
    na_ear *found = find(aid, ear);
    return found == NULL ? NULL : found->chain;
}

void neuroamp_aid_set_clock(neuroamp_aid *aid, neuroamp_clock clock, void *context,
                            uint64_t deadline) {
    aid->clock = clock;
    aid->context = context;
    aid->deadline = deadline;
    for (size_t i = 0; i < MAX_EARS; i++) {
        if (aid->ear[i].chain != NULL) {
            neuroamp_set_clock(aid->ear[i].chain, clock, context, deadline);
        }
    }
}

void neuroamp_aid_use_whole_hops(neuroamp_aid *aid, int enabled) {
    for (size_t i = 0; i < MAX_EARS; i++) {
        if (aid->ear[i].chain != NULL) {
            neuroamp_use_whole_hops(aid->ear[i].chain, enabled);
        }
    }
}

void neuroamp_aid_restart(neuroamp_aid *aid) {
    for (size_t i = 0; i < MAX_EARS; i++) {
        na_ear *ear = &aid->ear[i];
        if (ear->chain != NULL) {
            na_forget_sound(ear->chain);
            ear->fade = 0.0f;
            ear->input_sum = ear->output_sum = 0.0f;
        }
    }
    aid->filled = 0;
    aid->ticks = 0;
}

/* --- Audio side. --- */

/* The fitting `share` of the way from one to the other; their ranges hold for it as well. */
static neuroamp_fitting between(const neuroamp_fitting *from, const neuroamp_fitting *to,
                                float share) {
    neuroamp_fitting mixed = *to; /* the limit among the rest: at once */
    const float rest = 1.0f - share;
    for (size_t c = 0; c < NEUROAMP_CHANNELS; c++) {
        const float a = from->compression_ratio[c], b = to->compression_ratio[c];
        mixed.gain_65_db[c] = rest * from->gain_65_db[c] + share * to->gain_65_db[c];
        /* The gain falls by 1 - 1/ratio a decibel: the slope is what has to be mixed. */
        const float ratio = 1.0f / (rest / a + share / b);
        mixed.compression_ratio[c] = na_clamp(ratio, na_min(a, b), na_max(a, b));
        mixed.gain_65_db[c] =
            na_clamp(mixed.gain_65_db[c], na_min(from->gain_65_db[c], to->gain_65_db[c]),
                     na_max(from->gain_65_db[c], to->gain_65_db[c]));
    }
    mixed.knee_db_spl = na_clamp(rest * from->knee_db_spl + share * to->knee_db_spl,
                                 na_min(from->knee_db_spl, to->knee_db_spl),
                                 na_max(from->knee_db_spl, to->knee_db_spl));
    mixed.noise_reduction =
        na_clamp(rest * from->noise_reduction + share * to->noise_reduction, 0.0f, 1.0f);
    return mixed;
}

/* What the control side has asked for since the last hop, and one hop of a cross-fade. */
static void take_wishes(neuroamp_aid *aid, na_ear *ear) {
    if (na_receive(&ear->conversion_box)) {
        convert_by(ear, &ear->conversion_slots[ear->conversion_box.reading]);
    }
    if (na_receive(&ear->fitting_box)) {
        const float share = (float)ear->faded / (float)aid->cross_fade_hops;
        ear->from = between(&ear->from, &ear->to, share);
        ear->to = ear->fitting_slots[ear->fitting_box.reading];
        ear->faded = 0;
        ear->fittings++;
    }
    if (ear->faded < aid->cross_fade_hops) {
        ear->faded++;
        const neuroamp_fitting mixed =
            ear->faded == aid->cross_fade_hops
                ? ear->to
                : between(&ear->from, &ear->to, (float)ear->faded / (float)aid->cross_fade_hops);
        neuroamp_set_fitting(ear->chain, &mixed);
    }
    const unsigned bits = atomic_load_explicit(&ear->volume_bits, memory_order_relaxed);
    na_set_volume(ear->chain, na_from_bits((uint32_t)bits));
}

static void hear(na_ear *ear, const float *in, float *sound, size_t samples) {
    const float microphone_pa = ear->in_use.calibration.microphone_pa;
    float sum = ear->input_sum;
    for (size_t i = 0; i < samples; i++) {
        sound[i] = in[i] * microphone_pa; /* the chain makes silence of a NaN, and counts it */
        const float finite = na_is_finite(sound[i]) ? sound[i] : 0.0f;
        const float bounded = na_clamp(finite, -LOUDEST_PA, LOUDEST_PA);
        sum += bounded * bounded;
    }
    ear->input_sum = sum;
}

static void sound_out(const neuroamp_aid *aid, na_ear *ear, const float *sound, float *out,
                      size_t samples, neuroamp_output output) {
    const float receiver_per_pa = ear->in_use.calibration.receiver_per_pa;
    const float slope = output == NEUROAMP_SOUNDING ? aid->fade_in : -aid->fade_out;
    float fade = output == NEUROAMP_PANIC ? 0.0f : ear->fade;
    float sum = ear->output_sum, peak = ear->peak;
    for (size_t i = 0; i < samples; i++) {
        if (output != NEUROAMP_PANIC) {
            fade = na_clamp(fade + slope, 0.0f, 1.0f);
        }
        const float pressure = sound[i] * fade;
        sum += pressure * pressure;
        peak = na_max(peak, na_abs(pressure));
        out[i] = na_clamp(pressure * receiver_per_pa, -1.0f, 1.0f);
    }
    ear->fade = fade;
    ear->output_sum = sum;
    ear->peak = peak;
}

static void average(const neuroamp_aid *aid, float *power, float *sum) {
    const float newest = na_max(*sum / (float)aid->hop, LEAST_POWER);
    *power += aid->level_share * (newest - *power);
    *sum = 0.0f;
}

static void end_hop(neuroamp_aid *aid) {
    const int was_told = (int)atomic_exchange_explicit(&aid->late, 0u, memory_order_relaxed);
    aid->hops++;
    if (was_told || (aid->clock != NULL && aid->ticks > aid->deadline)) {
        aid->late_hops++;
        aid->paused = aid->pause_hops;
    } else if (aid->paused > 0) {
        aid->paused--;
    }
    aid->ticks = 0;
    aid->filled = 0;
    for (size_t i = 0; i < MAX_EARS; i++) {
        na_ear *ear = &aid->ear[i];
        if (ear->chain != NULL) {
            average(aid, &ear->input_power, &ear->input_sum);
            average(aid, &ear->output_power, &ear->output_sum);
            neuroamp_enable_net(ear->chain, aid->paused == 0);
        }
    }
}

void neuroamp_aid_process(neuroamp_aid *aid, const float *left_in, const float *right_in,
                          float *left_out, float *right_out, size_t samples) {
    const float *in[MAX_EARS] = {left_in, right_in};
    float *out[MAX_EARS] = {left_out, right_out};
    size_t done = 0;
    const unsigned sequence = atomic_load_explicit(&aid->sequence, memory_order_relaxed);
    atomic_store_explicit(&aid->sequence, sequence + 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    while (done < samples) {
        const uint64_t start = aid->clock == NULL ? 0 : aid->clock(aid->context);
        const size_t room = aid->hop - aid->filled;
        const size_t count = samples - done < room ? samples - done : room;
        const neuroamp_output output = neuroamp_aid_get_output(aid);
        for (size_t i = 0; i < MAX_EARS; i++) {
            na_ear *ear = &aid->ear[i];
            if (ear->chain == NULL) {
                continue;
            }
            if (aid->filled == 0) {
                take_wishes(aid, ear);
            }
            hear(ear, in[i] + done, ear->sound, count);
            neuroamp_process(ear->chain, ear->sound, ear->sound, count);
            sound_out(aid, ear, ear->sound, out[i] + done, count, output);
        }
        aid->filled += (uint32_t)count;
        done += count;
        aid->ticks += aid->clock == NULL ? 0 : aid->clock(aid->context) - start;
        if (aid->filled == aid->hop) {
            end_hop(aid);
        }
    }
    atomic_store_explicit(&aid->sequence, sequence + 2, memory_order_release);
}

float neuroamp_aid_ceiling(const neuroamp_aid *aid, neuroamp_ear ear) {
    const na_ear *found = find_const(aid, ear);
    if (found == NULL) {
        return 0.0f;
    }
    return na_min(found->chain->limiter.ceiling_pa * found->in_use.calibration.receiver_per_pa, 1.0f);
}

/* --- Either side. --- */

void neuroamp_aid_tell_late(neuroamp_aid *aid) {
    atomic_store_explicit(&aid->late, 1u, memory_order_relaxed);
}

void neuroamp_aid_set_output(neuroamp_aid *aid, neuroamp_output output) {
    atomic_store_explicit(&aid->output, (unsigned)output, memory_order_relaxed);
}

neuroamp_output neuroamp_aid_get_output(const neuroamp_aid *aid) {
    return (neuroamp_output)atomic_load_explicit(&aid->output, memory_order_relaxed);
}

/* --- Control side. --- */

static void post_fitting(na_ear *ear) {
    ear->fitting_slots[ear->fitting_box.writing] = ear->wanted;
    na_post(&ear->fitting_box);
}

neuroamp_status neuroamp_aid_set_fitting(neuroamp_aid *aid, const neuroamp_fitting *fitting) {
    if (fitting == NULL) {
        return NEUROAMP_BAD_ARGUMENT;
    }
    na_ear *ear = find(aid, (neuroamp_ear)fitting->ear);
    if (ear == NULL) {
        return NEUROAMP_WRONG_EAR;
    }
    const neuroamp_status status = neuroamp_check_fitting((neuroamp_ear)fitting->ear, fitting);
    if (status == NEUROAMP_OK) {
        ear->wanted = *fitting;
        post_fitting(ear);
    }
    return status;
}

const neuroamp_fitting *neuroamp_aid_get_fitting(const neuroamp_aid *aid, neuroamp_ear ear) {
    const na_ear *found = find_const(aid, ear);
    return found == NULL ? NULL : &found->wanted;
}

static void post_conversion(na_ear *ear, na_conversion conversion) {
    ear->conversion = conversion;
    ear->conversion_slots[ear->conversion_box.writing] = conversion;
    na_post(&ear->conversion_box);
}

neuroamp_status neuroamp_aid_set_calibration(neuroamp_aid *aid,
                                             const neuroamp_calibration *calibration) {
    if (calibration == NULL) {
        return NEUROAMP_BAD_ARGUMENT;
    }
    const neuroamp_ear side = (neuroamp_ear)calibration->ear;
    na_ear *ear = find(aid, side);
    if (ear == NULL) {
        return NEUROAMP_WRONG_EAR;
    }
    const neuroamp_status status = check_calibration(side, calibration);
    if (status == NEUROAMP_OK) {
        post_conversion(ear, (na_conversion){*calibration, 1});
    }
    return status;
}

neuroamp_status neuroamp_aid_forget_calibration(neuroamp_aid *aid, neuroamp_ear ear) {
    na_ear *found = find(aid, ear);
    if (found == NULL) {
        return NEUROAMP_BAD_ARGUMENT;
    }
    post_conversion(found, uncalibrated(ear));
    return NEUROAMP_OK;
}

const neuroamp_calibration *neuroamp_aid_get_calibration(const neuroamp_aid *aid,
                                                         neuroamp_ear ear) {
    const na_ear *found = find_const(aid, ear);
    return found == NULL ? NULL : &found->conversion.calibration;
}

neuroamp_status neuroamp_aid_set_volume(neuroamp_aid *aid, neuroamp_ear ear, float volume_db) {
    na_ear *found = find(aid, ear);
    if (found == NULL || !na_is_finite(volume_db)) {
        return NEUROAMP_BAD_ARGUMENT;
    }
    found->volume_db = na_clamp(volume_db, NEUROAMP_VOLUME_MIN_DB, NEUROAMP_VOLUME_MAX_DB);
    const float factor = na_factor_from_db(found->volume_db);
    atomic_store_explicit(&found->volume_bits, (unsigned)na_bits(factor), memory_order_relaxed);
    return NEUROAMP_OK;
}

float neuroamp_aid_get_volume(const neuroamp_aid *aid, neuroamp_ear ear) {
    const na_ear *found = find_const(aid, ear);
    return found == NULL ? 0.0f : found->volume_db;
}

neuroamp_status neuroamp_aid_set_noise_reduction(neuroamp_aid *aid, neuroamp_ear ear,
                                                 float strength) {
    na_ear *found = find(aid, ear);
    if (found == NULL || !na_within(strength, 0.0f, 1.0f)) {
        return NEUROAMP_BAD_ARGUMENT;
    }
    found->wanted.noise_reduction = strength;
    post_fitting(found);
    return NEUROAMP_OK;
}

/* Reading: the copy counts only if the audio side stood still from `begin_read` to `end_read`. */
static unsigned begin_read(const neuroamp_aid *aid) {
    return atomic_load_explicit(&aid->sequence, memory_order_acquire);
}

static int end_read(const neuroamp_aid *aid, unsigned begun) {
    atomic_thread_fence(memory_order_acquire);
    const unsigned now = atomic_load_explicit(&aid->sequence, memory_order_relaxed);
    return begun % 2 == 0 && now == begun;
}

static float level_db_spl(float power) {
    return na_db_from_power(na_max(power, LEAST_POWER) / (REFERENCE_PA * REFERENCE_PA));
}

int neuroamp_aid_read(const neuroamp_aid *aid, neuroamp_ear ear, neuroamp_aid_report *report) {
    const na_ear *found = find_const(aid, ear);
    if (found == NULL) {
        return 0;
    }
    const unsigned begun = begin_read(aid);
    const float peak = found->peak / PEAK_OF_SINE;
    memset(report, 0, sizeof *report);
    report->input_db_spl = level_db_spl(found->input_power);
    report->output_db_spl = level_db_spl(found->output_power);
    report->output_peak_db_spl = level_db_spl(peak * peak);
    for (size_t c = 0; c < NEUROAMP_CHANNELS; c++) {
        report->gain_db[c] = found->chain->gain_db[aid->channel_bin[c]];
        report->gain_65_db[c] = found->chain->fitting.gain_65_db[c];
    }
    report->fade = found->fade;
    report->is_calibrated = found->in_use.is_known;
    report->is_net_paused = aid->paused > 0;
    report->fittings = found->fittings;
    report->counts = found->chain->counts;
    report->hops = aid->hops;
    report->late_hops = aid->late_hops;
    return end_read(aid, begun);
}

int neuroamp_aid_read_times(const neuroamp_aid *aid, neuroamp_ear ear, neuroamp_stage stage,
                            neuroamp_times *times) {
    const na_ear *found = find_const(aid, ear);
    if (found == NULL || (unsigned)stage >= NEUROAMP_STAGES) {
        return 0;
    }
    const unsigned begun = begin_read(aid);
    *times = found->chain->stats->times[stage];
    return end_read(aid, begun);
}

int neuroamp_aid_read_gain_db(const neuroamp_aid *aid, neuroamp_ear ear, float *gain_db) {
    const na_ear *found = find_const(aid, ear);
    if (found == NULL) {
        return 0;
    }
    const unsigned begun = begin_read(aid);
    neuroamp_insertion_gain_db(found->chain, gain_db);
    return end_read(aid, begun);
}
