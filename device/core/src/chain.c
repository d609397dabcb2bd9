/* The chain of one ear, hop by hop; neuroamp/chain.py is its readable specification. */
#include "chain.h"

#include "elementary.h"
#include "fitting.h"
#include "loops.h"
#include "net_features.h"

#include <string.h>

/* 160 dB SPL: beyond any microphone, and small enough that no level ever becomes infinite. */
#define INPUT_CEILING_PA 2000.0f
/* -146 dB SPL: smaller samples count as zero, so that no slow subnormal number arises. */
#define INPUT_FLOOR_PA 1e-12f
#define GAIN_SLOPE_DB 12.0f
#define MISSED_DECAY_S 0.1f
#define NEGLIGIBLE_DB 1e-6f
#define NOISE_S 1.25f
#define NOISE_NONE_DB (-1.1f)
#define NOISE_SURE_DB (-3.5f)
/* log2 of 10^(level / 40 dB), the fourth root of the power, for a feature: 30 dB each. */
#define NOISE_WEIGHT_LOG2 2.491446071f
#define VOLUME_DB_PER_S 200.0f

const char *neuroamp_status_text(neuroamp_status status) {
    switch (status) {
    case NEUROAMP_OK:
        return "no error";
    case NEUROAMP_BAD_ARGUMENT:
        return "an argument is null or memory is not aligned to 16 bytes";
    case NEUROAMP_NOT_A_MODEL:
        return "this is not a whole NeuroAMP core model file";
    case NEUROAMP_WRONG_VERSION:
        return "the model file has another format version";
    case NEUROAMP_DAMAGED_MODEL:
        return "the model file is damaged (its CRC-32 is wrong)";
    case NEUROAMP_BAD_MODEL:
        return "the model file has a section that is missing or contradicts another";
    case NEUROAMP_TOO_LITTLE_MEMORY:
        return "the chain needs more memory than it was given";
    case NEUROAMP_WRONG_EAR:
        return "the fitting is for the other ear";
    case NEUROAMP_BAD_FITTING:
        return "the fitting has a value that is out of its range";
    case NEUROAMP_NOT_SUPPORTED:
        return "this processor does not have that kernel, or the model is packed for another";
    case NEUROAMP_BAD_CALIBRATION:
        return "the calibration has a value that is out of its range";
    }
    return "unknown status";
}

/* Takes the chain and all its arrays. While the arena only counts there is nowhere to write but
 * the `chain` given: a scratch on the caller's stack. */
static void layout(neuroamp *chain, na_arena *arena) {
    const na_model *model = &chain->model;
    na_transform_layout(&chain->transform, model, arena);
    if (model->shape.layers > 0) {
        na_lstm_layout(&chain->lstm, model, arena);
    }
    chain->stats = na_take(arena, 1, sizeof(na_stats));
    chain->incoming = na_take(arena, model->profile.hop, sizeof(float));
    chain->outgoing = na_take(arena, model->profile.hop, sizeof(float));
    chain->features = na_take(arena, model->features, sizeof(float));
    chain->asked = na_take(arena, model->features, sizeof(float));
    chain->power = na_take(arena, model->bins, sizeof(float));
    chain->prescribed_db = na_take(arena, model->bins, sizeof(float));
    chain->net_db = na_take(arena, model->bins, sizeof(float));
    chain->gain_db = na_take(arena, model->bins, sizeof(float));
    chain->gain = na_take(arena, model->bins, sizeof(float));
}

static size_t needed_bytes(const na_model *model) {
    neuroamp scratch;
    na_arena arena = {NULL, 0};
    na_take(&arena, 1, sizeof(neuroamp));
    scratch.model = *model;
    layout(&scratch, &arena);
    return arena.used;
}

neuroamp_status neuroamp_check_model(const void *model, size_t model_bytes, neuroamp_info *info) {
    na_model found;
    const neuroamp_status status = na_model_read(model, model_bytes, &found);
    if (status == NEUROAMP_OK && info != NULL) {
        info->sample_rate_hz = found.profile.sample_rate_hz;
        info->hop = found.profile.hop;
        info->hops_per_step = found.profile.hops_per_step;
        info->delay_samples = found.profile.synthesis_length;
        info->bins = found.bins;
        info->features = found.features;
        info->has_net = found.shape.layers > 0;
    }
    return status;
}

size_t neuroamp_size(const void *model, size_t model_bytes) {
    na_model found;
    return na_model_read(model, model_bytes, &found) == NEUROAMP_OK ? needed_bytes(&found) : 0;
}

neuroamp_status neuroamp_check_fitting(neuroamp_ear ear, const neuroamp_fitting *fitting) {
    if (fitting->ear != (int32_t)ear) {
        return NEUROAMP_WRONG_EAR;
    }
    return na_find_fault(fitting).field == 0 ? NEUROAMP_OK : NEUROAMP_BAD_FITTING;
}

/* The lower of the fitting's limit and the device's, at once. */
static void set_ceiling(neuroamp *chain) {
    na_limiter_set_mpo(&chain->limiter, chain->fitting.mpo_db_spl);
    const float ceiling_pa = na_min(chain->limiter.ceiling_pa, chain->device_ceiling_pa);
    chain->limiter.ceiling_pa = ceiling_pa;
    for (size_t i = 0; i < chain->model.profile.hop; i++) {
        /* The hop that is ready was limited by the ceiling before. */
        chain->outgoing[i] = na_clamp(chain->outgoing[i], -ceiling_pa, ceiling_pa);
    }
}

neuroamp_status neuroamp_set_fitting(neuroamp *chain, const neuroamp_fitting *fitting) {
    const neuroamp_status status = neuroamp_check_fitting(chain->ear, fitting);
    if (status != NEUROAMP_OK) {
        return status;
    }
    chain->fitting = *fitting;
    na_wdrc_set_fitting(&chain->wdrc, &chain->model, fitting);
    set_ceiling(chain);
    if (chain->model.shape.layers > 0) {
        na_lstm_set_audiogram(&chain->lstm, fitting->thresholds_db_hl);
    }
    return NEUROAMP_OK;
}

neuroamp_status neuroamp_init(void *memory, size_t memory_bytes, const void *model,
                              size_t model_bytes, neuroamp_ear ear,
                              const neuroamp_fitting *fitting, neuroamp **chain) {
    na_model found;
    if (memory == NULL || (uintptr_t)memory % NEUROAMP_ALIGNMENT != 0 || fitting == NULL ||
        chain == NULL || (ear != NEUROAMP_LEFT && ear != NEUROAMP_RIGHT)) {
        return NEUROAMP_BAD_ARGUMENT;
    }
    const neuroamp_status status = na_model_read(model, model_bytes, &found);
    if (status != NEUROAMP_OK) {
        return status;
    }
    const neuroamp_kernel fastest = na_fastest_kernel(found.layout);
    if (fastest == NEUROAMP_KERNELS) {
        return NEUROAMP_NOT_SUPPORTED;
    }
    if (memory_bytes < needed_bytes(&found)) {
        return NEUROAMP_TOO_LITTLE_MEMORY;
    }
    na_arena arena = {memory, 0};
    neuroamp *made = na_take(&arena, 1, sizeof(neuroamp));
    memset(made, 0, sizeof *made);
    made->model = found;
    made->ear = ear;
    made->net_enabled = 1;
    made->device_ceiling_pa = INPUT_CEILING_PA;
    made->volume = made->wanted_volume = 1.0f;
    layout(made, &arena);
    memset(made->stats, 0, sizeof *made->stats);
    made->kernel = fastest;
    made->lstm.kernel = na_find_kernel(fastest, found.layout);
    const float step_s = (float)(found.profile.hop * found.profile.hops_per_step) /
                         (float)found.profile.sample_rate_hz;
    made->noise_reach = -na_expm1(-step_s / NOISE_S);
    made->missed_decay = 1.0f + na_expm1(-step_s / MISSED_DECAY_S);
    neuroamp_reset(made);
    const neuroamp_status fitted = neuroamp_set_fitting(made, fitting);
    if (fitted == NEUROAMP_OK) {
        *chain = made;
    }
    return fitted;
}

void neuroamp_reset(neuroamp *chain) {
    memset(&chain->counts, 0, sizeof chain->counts);
    na_stats_reset(chain->stats);
    na_forget_sound(chain);
}

void na_forget_sound(neuroamp *chain) {
    const na_model *model = &chain->model;
    na_transform_reset(&chain->transform);
    na_wdrc_reset(&chain->wdrc);
    na_limiter_init(&chain->limiter, model->profile.sample_rate_hz);
    chain->volume = chain->wanted_volume;
    if (model->shape.layers > 0) {
        na_lstm_reset(&chain->lstm);
    }
    chain->noise_weight = chain->noise_asked_db = 0.0f;
    chain->is_first_step = 1;
    chain->hop_in_step = 0;
    chain->filled = 0;
    memset(chain->incoming, 0, model->profile.hop * sizeof(float));
    memset(chain->outgoing, 0, model->profile.hop * sizeof(float));
    for (size_t i = 0; i < model->bins; i++) {
        chain->net_db[i] = chain->gain_db[i] = 0.0f;
        chain->gain[i] = 1.0f;
    }
}

static int all_finite(const float *values, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (!na_is_finite(values[i])) {
            return 0;
        }
    }
    return 1;
}

/* The net's output, `asked`; 0 if there is none. */
static int run_net(neuroamp *chain) {
    const na_model *model = &chain->model;
    if (!chain->net_enabled) {
        return 0;
    }
    na_features(model, chain->power, chain->features);
    if (chain->external == NULL) {
        na_lstm_step(&chain->lstm, chain->features, chain->asked);
        return 1;
    }
    return chain->external(chain->external_context, chain->fitting.thresholds_db_hl,
                           chain->features, chain->asked) &&
           all_finite(chain->asked, model->features);
}

/* Takes another step's band gains into their mean over NOISE_S, in which loud bands weigh more. */
static void hear_noise(neuroamp *chain) {
    float weight = 0.0f, asked_db = 0.0f;
    for (size_t b = 0; b < chain->model.features; b++) {
        const float loud = na_exp2(NOISE_WEIGHT_LOG2 * chain->features[b]);
        weight += loud;
        asked_db += loud * chain->asked[b];
    }
    chain->noise_weight += chain->noise_reach * (weight - chain->noise_weight);
    chain->noise_asked_db += chain->noise_reach * (asked_db - chain->noise_asked_db);
}

/* How much of what the net asks for is done, 0 to 1. */
static float noise_share(const neuroamp *chain) {
    if (chain->noise_weight == 0.0f) {
        return 1.0f;
    }
    const float mean_db = chain->noise_asked_db / chain->noise_weight;
    return na_clamp((NOISE_NONE_DB - mean_db) / (NOISE_NONE_DB - NOISE_SURE_DB), 0.0f, 1.0f);
}

/* Updates what the net asks for on top of the fitting's gain, `net_db`. */
static void step_net(neuroamp *chain) {
    const na_model *model = &chain->model;
    const uint64_t start = na_now(chain->stats);
    if (!run_net(chain)) {
        chain->counts.missed_steps++;
        for (size_t i = 0; i < model->bins; i++) {
            const float faded = chain->net_db[i] * chain->missed_decay;
            chain->net_db[i] = na_abs(faded) < NEGLIGIBLE_DB ? 0.0f : faded;
        }
        return;
    }
    na_net_gain_db(model, chain->asked, chain->power, chain->net_db);
    if (model->profile.features == NA_LOG_MAGNITUDE) {
        /* Relative to the prescription, so that the strength of the noise reduction blends
         * between the two and a missed step fades to the prescription. */
        for (size_t i = 0; i < model->bins; i++) {
            chain->net_db[i] -= chain->prescribed_db[i];
        }
    } else {
        hear_noise(chain);
    }
    na_count_time(chain->stats, NEUROAMP_NET, start);
}

static void update_gains(neuroamp *chain) {
    const na_model *model = &chain->model;
    const int has_net = model->shape.layers > 0 || chain->external != NULL;
    const int is_gain = model->profile.features == NA_BAND_LEVEL;
    const float strength = chain->fitting.noise_reduction;
    na_powers(chain->transform.spectrum, model->power_scale, chain->power, model->bins);
    /* A net that adds to the gains adds to steadied ones; one that replaces them does not hear how
     * they move. */
    na_wdrc_step(&chain->wdrc, chain->power, has_net && is_gain ? strength : 0.0f,
                 chain->prescribed_db);
    if (has_net) {
        step_net(chain);
    }
    const float slope_db = is_gain && !chain->is_first_step ? GAIN_SLOPE_DB : 1e6f;
    const float share = is_gain ? noise_share(chain) : 1.0f;
    na_next_gains(chain->prescribed_db, chain->net_db, strength * share, slope_db, chain->gain_db,
                  chain->gain, model->bins);
    chain->is_first_step = 0;
    chain->counts.steps++;
}

/* The input as the chain can bear it, in place. */
static void make_finite(neuroamp *chain, float *samples, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (!na_is_finite(samples[i])) {
            chain->counts.non_finite_samples++;
            samples[i] = 0.0f;
        }
        const float bounded = na_clamp(samples[i], -INPUT_CEILING_PA, INPUT_CEILING_PA);
        samples[i] = na_abs(bounded) < INPUT_FLOOR_PA ? 0.0f : bounded;
    }
}

/* The volume, on its way to the wanted one, in place. */
static void apply_volume(neuroamp *chain, float *samples) {
    const na_profile *profile = &chain->model.profile;
    const float from = chain->volume;
    if (from == 1.0f && chain->wanted_volume == 1.0f) {
        return;
    }
    const float hop_s = (float)profile->hop / (float)profile->sample_rate_hz;
    const float reach = na_factor_from_db(VOLUME_DB_PER_S * hop_s);
    chain->volume = na_clamp(chain->wanted_volume, from / reach, from * reach);
    const float slope = (chain->volume - from) / (float)profile->hop;
    for (size_t i = 0; i < profile->hop; i++) {
        samples[i] *= from + slope * (float)(i + 1);
    }
}

static void process_hop(neuroamp *chain) {
    const na_model *model = &chain->model;
    na_stats *stats = chain->stats;
    const uint64_t start = na_now(stats);
    make_finite(chain, chain->incoming, model->profile.hop);
    na_analyse(&chain->transform, chain->incoming);
    uint64_t now = na_count_time(stats, NEUROAMP_ANALYSIS, start);
    if (chain->hop_in_step == 0) {
        update_gains(chain);
        now = na_count_time(stats, NEUROAMP_GAINS, now);
    }
    chain->hop_in_step = (chain->hop_in_step + 1) % model->profile.hops_per_step;
    na_apply_gains(chain->transform.spectrum, chain->gain, model->bins);
    na_synthesise(&chain->transform, chain->outgoing);
    apply_volume(chain, chain->outgoing);
    now = na_count_time(stats, NEUROAMP_SYNTHESIS, now);
    na_limit(&chain->limiter, chain->outgoing, model->profile.hop);
    na_count_time(stats, NEUROAMP_LIMITER, now);
    na_count_time(stats, NEUROAMP_FRAME, start);
}

/* As many whole hops as there are; returns how many samples they were. */
static size_t process_whole_hops(neuroamp *chain, const float *in, float *out, size_t samples) {
    const size_t hop = chain->model.profile.hop;
    size_t done = 0;
    for (; samples - done >= hop; done += hop) {
        memcpy(chain->incoming, in + done, hop * sizeof(float));
        process_hop(chain);
        memcpy(out + done, chain->outgoing, hop * sizeof(float));
    }
    if (done < samples) {
        neuroamp_use_whole_hops(chain, 0);
    }
    return done;
}

void neuroamp_process(neuroamp *chain, const float *in, float *out, size_t samples) {
    const uint32_t hop = chain->model.profile.hop;
    if (chain->whole_hops) {
        const size_t done = process_whole_hops(chain, in, out, samples);
        in += done;
        out += done;
        samples -= done;
    }
    while (samples > 0) {
        /* Sample i of a hop goes in while sample i of the hop before comes out. */
        const uint32_t room = hop - chain->filled;
        const uint32_t count = samples < room ? (uint32_t)samples : room;
        memcpy(chain->incoming + chain->filled, in, count * sizeof(float));
        memcpy(out, chain->outgoing + chain->filled, count * sizeof(float));
        in += count;
        out += count;
        samples -= count;
        chain->filled += count;
        if (chain->filled == hop) {
            process_hop(chain);
            chain->filled = 0;
        }
    }
}

void neuroamp_use_whole_hops(neuroamp *chain, int enabled) {
    chain->whole_hops = enabled != 0;
    /* The hop that was computed last has left already. */
    memset(chain->outgoing, 0, chain->model.profile.hop * sizeof(float));
}

void neuroamp_enable_net(neuroamp *chain, int enabled) { chain->net_enabled = enabled != 0; }

void neuroamp_set_net(neuroamp *chain, neuroamp_net net, void *context) {
    chain->external = net;
    chain->external_context = context;
}

void na_set_device_ceiling(neuroamp *chain, float ceiling_pa) {
    chain->device_ceiling_pa = na_min(na_max(ceiling_pa, 0.0f), INPUT_CEILING_PA);
    set_ceiling(chain);
}

void na_set_volume(neuroamp *chain, float factor) { chain->wanted_volume = factor; }

void neuroamp_step_net(neuroamp *chain, const float *features, float *output) {
    if (chain->model.shape.layers > 0) {
        na_lstm_step(&chain->lstm, features, output);
    }
}

void neuroamp_insertion_gain_db(const neuroamp *chain, float *gain_db) {
    memcpy(gain_db, chain->gain_db, chain->model.bins * sizeof(float));
}

neuroamp_status neuroamp_use_kernel(neuroamp *chain, neuroamp_kernel kernel) {
    const na_kernel found = na_find_kernel(kernel, chain->model.layout);
    if (found.multiply == NULL) {
        return NEUROAMP_NOT_SUPPORTED;
    }
    chain->kernel = kernel;
    chain->lstm.kernel = found;
    return NEUROAMP_OK;
}

neuroamp_kernel neuroamp_kernel_in_use(const neuroamp *chain) { return chain->kernel; }

void neuroamp_set_clock(neuroamp *chain, neuroamp_clock clock, void *context, uint64_t deadline) {
    chain->stats->clock = clock;
    chain->stats->context = context;
    chain->stats->deadline = deadline;
}

neuroamp_counts neuroamp_get_counts(const neuroamp *chain) { return chain->counts; }

const neuroamp_times *neuroamp_get_times(const neuroamp *chain, neuroamp_stage stage) {
    return (unsigned)stage < NEUROAMP_STAGES ? &chain->stats->times[stage] : NULL;
}
