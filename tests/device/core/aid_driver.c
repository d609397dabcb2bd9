/* Runs the aid as a program, for sanitizers and for long runs.
 *
 *     aid_driver adversarial MODEL HOPS SEED    hostile sound and settings; fails if it is too loud
 *     aid_driver threads MODEL HOPS SEED        the same, set and read by a second thread
 *     aid_driver stream MODEL CALLBACKS SEED    hostile blocks for the callback of a sound card */
#include "hostile.h"

#include "neuroamp/hosted.h"

#include <pthread.h>
#include <stdatomic.h>

enum { EARS = 2, MAX_HOP = 1024 };

static const neuroamp_ear sides[EARS] = {NEUROAMP_LEFT, NEUROAMP_RIGHT};

static neuroamp_aid *make_aid(const uint8_t *model, size_t bytes) {
    neuroamp_fitting fitting[EARS] = {moderate(), moderate()};
    fitting[1].ear = NEUROAMP_RIGHT;
    const neuroamp_aid_ear left = {&fitting[0], NULL}, right = {&fitting[1], NULL};
    const size_t size = neuroamp_aid_size(model, bytes, EARS);
    neuroamp_aid *aid = NULL;
    const neuroamp_status status =
        neuroamp_aid_init(aligned(size), size, model, bytes, &left, &right, &aid);
    if (status != NEUROAMP_OK) fail(neuroamp_status_text(status));
    return aid;
}

static neuroamp_calibration any_calibration(neuroamp_ear ear) {
    neuroamp_calibration calibration = {(int32_t)ear, uniform(0.2f, 630.0f),
                                        uniform(1.6e-3f, 5.0f), uniform(60.0f, 120.0f)};
    if (below(3) == 0) {
        const uint32_t bits = (uint32_t)(draw() >> 32);
        memcpy(&calibration.ear + below(4), &bits, 4);
    }
    return calibration;
}

/* One setting of one ear, often one that must be refused. */
static void set_anything(neuroamp_aid *aid) {
    const unsigned i = below(EARS);
    neuroamp_fitting fitting = extreme();
    fitting.ear = below(8) == 0 ? (int32_t)below(4) : (int32_t)sides[i];
    const neuroamp_calibration calibration = any_calibration(sides[i]);
    const float wild = below(4) == 0 ? NAN : uniform(-100.0f, 100.0f);
    switch (below(64)) { /* these begin a fade of many hops: seldom */
    case 0: neuroamp_aid_set_calibration(aid, &calibration); break;
    case 1: neuroamp_aid_forget_calibration(aid, sides[i]); break;
    case 2: neuroamp_aid_set_output(aid, (neuroamp_output)below(3)); break;
    default: neuroamp_aid_set_output(aid, NEUROAMP_SOUNDING); break;
    }
    switch (below(4)) {
    case 0: neuroamp_aid_set_fitting(aid, &fitting); break;
    case 1: neuroamp_aid_set_volume(aid, sides[i], wild); break;
    case 2: neuroamp_aid_set_noise_reduction(aid, sides[i], wild / 100.0f); break;
    default: neuroamp_aid_tell_late(aid); break;
    }
}

/* The most that an ear may put out, in full scales, by what the aid says of itself. */
static double limit(const neuroamp_aid *aid, neuroamp_ear ear) {
    const neuroamp_fitting *fitting = neuroamp_aid_get_fitting(aid, ear);
    const neuroamp_calibration *calibration = neuroamp_aid_get_calibration(aid, ear);
    const float db_spl = fminf(fitting->mpo_db_spl, calibration->ceiling_db_spl);
    const double pascals = sqrt(2.0) * 20e-6 * pow(10.0, (double)db_spl / 20.0);
    return fmin(pascals * (double)calibration->receiver_per_pa, 1.0);
}

static double check(const float *samples, size_t count, double most) {
    double worst = 0.0;
    for (size_t i = 0; i < count; i++) {
        if (!(fabs((double)samples[i]) <= most)) fail("a sample is above the limit");
        worst = fmax(worst, fabs((double)samples[i]) / most);
    }
    return worst;
}

static int adversarial(neuroamp_aid *aid, const neuroamp_info *info, long hops) {
    static float sound[EARS][MAX_HOP];
    double worst = 0.0;
    for (long hop = 0; hop < hops; hop++) {
        if (below(8) == 0) set_anything(aid);
        for (size_t i = 0; i < EARS; i++) hostile(sound[i], info->hop);
        /* In pieces: what is set takes effect at the first of them. */
        const size_t piece = below(4) == 0 ? 1 + below(info->hop) : info->hop;
        for (size_t done = 0; done < info->hop; done += piece) {
            const size_t count = piece < info->hop - done ? piece : info->hop - done;
            float *left = sound[0] + done, *right = sound[1] + done;
            neuroamp_aid_process(aid, left, right, left, right, count);
        }
        for (size_t i = 0; i < EARS; i++) {
            worst = fmax(worst, check(sound[i], info->hop, limit(aid, sides[i])));
        }
        neuroamp_aid_report report;
        if (!neuroamp_aid_read(aid, sides[below(EARS)], &report)) fail("the report is disturbed");
        if (!(report.fade >= 0.0f && report.fade <= 1.0f)) fail("the fade is out of range");
        if (!isfinite(report.input_db_spl + report.output_db_spl)) fail("a level is not finite");
    }
    printf("%ld hops of two ears, loudest sample %.6f of the limit\n", hops, worst);
    return 0;
}

/* The second thread: fittings whose values are all alike, so that a torn one would show. */

typedef struct shared {
    neuroamp_aid *aid;
    atomic_int is_over;
    long reads;
} shared;

static void *control(void *context) {
    shared *with = context;
    neuroamp_fitting fitting = moderate();
    neuroamp_times times;
    neuroamp_aid_report report;
    for (unsigned round = 0; !atomic_load(&with->is_over); round++) {
        const float value = (float)(round % 60);
        for (size_t c = 0; c < NEUROAMP_CHANNELS; c++) fitting.gain_65_db[c] = value;
        fitting.mpo_db_spl = 60.0f + value;
        if (neuroamp_aid_set_fitting(with->aid, &fitting) != NEUROAMP_OK) fail("refused");
        if (neuroamp_aid_read_times(with->aid, NEUROAMP_LEFT, NEUROAMP_NET, &times)) {
            uint64_t sum = 0;
            for (size_t b = 0; b < NEUROAMP_BUCKETS; b++) sum += times.histogram[b];
            if (sum != times.count) fail("the times are torn");
            with->reads++;
        }
        if (neuroamp_aid_read(with->aid, NEUROAMP_LEFT, &report)) with->reads++;
    }
    return NULL;
}

static uint64_t count_ticks(void *context) { return ++*(uint64_t *)context; }

static int threads(neuroamp_aid *aid, const neuroamp_info *info, long hops) {
    static float sound[EARS][MAX_HOP];
    uint64_t ticks = 0;
    shared with = {.aid = aid};
    pthread_t thread;
    neuroamp_aid_set_clock(aid, count_ticks, &ticks, UINT64_MAX);
    if (pthread_create(&thread, NULL, control, &with) != 0) fail("no thread");
    for (long hop = 0; hop < hops; hop++) {
        for (size_t i = 0; i < EARS; i++) hostile(sound[i], info->hop);
        neuroamp_aid_process(aid, sound[0], sound[1], sound[0], sound[1], info->hop);
        /* 85 dB SPL on the assumed receiver of an ear without calibration. */
        check(sound[0], info->hop, 0.0251490);
        check(sound[1], info->hop, 0.0251490);
    }
    atomic_store(&with.is_over, 1);
    pthread_join(thread, NULL);
    neuroamp_aid_report report;
    neuroamp_aid_read(aid, NEUROAMP_LEFT, &report);
    printf("%ld hops, fittings taken: %s, reports read: %s\n", hops,
           report.fittings > 0 ? "yes" : "no", with.reads > 0 ? "yes" : "no");
    return 0;
}

/* Any number of channels and frames, with and without input, at the model's rate and above. */
static int stream(neuroamp_aid *aid, const neuroamp_info *info, long callbacks) {
    enum { MAX_CHANNELS = 5, MAX_FRAMES = 700, TAPS = 53 };
    static float in[MAX_CHANNELS * MAX_FRAMES], out[MAX_CHANNELS * MAX_FRAMES], taps[TAPS];
    double worst = 0.0;
    for (size_t i = 0; i < TAPS; i++) taps[i] = 1.0f / TAPS;
    for (long done = 0; done < callbacks;) {
        neuroamp_stream_setup setup = {.aid = aid, .factor = 1 + below(4), .taps = TAPS};
        setup.sample_rate_hz = setup.factor * info->sample_rate_hz;
        setup.filter = taps;
        setup.block = 1 + below(300);
        setup.in_channels = 1 + below(MAX_CHANNELS);
        setup.out_channels = below(MAX_CHANNELS + 1);
        setup.left_in = below(MAX_CHANNELS);
        setup.right_in = below(MAX_CHANNELS);
        setup.left_out = below(MAX_CHANNELS);
        setup.right_out = below(MAX_CHANNELS);
        setup.is_paused_by_gaps = below(2);
        const size_t size = neuroamp_stream_size(&setup);
        if (size == 0) continue; /* it makes no sense, and has to say so */
        if (setup.left_in >= setup.in_channels || setup.right_out >= setup.out_channels) {
            fail("a channel that is not there was accepted");
        }
        void *memory = aligned(size);
        neuroamp_stream *made = NULL;
        const neuroamp_status status = neuroamp_stream_init(memory, size, &setup, &made);
        if (status != NEUROAMP_OK) fail(neuroamp_status_text(status));
        neuroamp_aid_use_whole_hops(aid, (int)below(2));
        neuroamp_stream_restart(made);
        for (int i = 0; i < 100; i++, done++) {
            const unsigned long frames = below(MAX_FRAMES);
            const double time[3] = {uniform(-1.0f, 1.0f), 0.0, below(8) == 0 ? NAN : 1e30};
            if (below(8) == 0) set_anything(aid);
            hostile(in, frames * setup.in_channels);
            for (size_t k = 0; k < frames * setup.out_channels; k++) out[k] = NAN;
            neuroamp_stream_callback(below(16) == 0 ? NULL : in, out, frames,
                                     below(2) ? time : NULL, below(64), made);
            for (size_t k = 0; k < frames * setup.out_channels; k++) {
                const size_t channel = k % setup.out_channels;
                const int is_ear = channel == setup.left_out || channel == setup.right_out;
                if (!(fabs((double)out[k]) <= 1.0)) fail("a sample is above full scale");
                if (!is_ear && out[k] != 0.0f) fail("a channel without an ear sounds");
                worst = fmax(worst, fabs((double)out[k]));
            }
        }
        free(memory);
    }
    printf("%ld callbacks, %s\n", callbacks, worst > 0.0 ? "sounding" : "silent");
    return 0;
}

int main(int count, char **arguments) {
    if (count < 5) fail("usage: aid_driver adversarial|threads|stream MODEL COUNT SEED");
    size_t bytes;
    uint8_t *model = read_file(arguments[2], &bytes);
    neuroamp_info info;
    if (neuroamp_check_model(model, bytes, &info) != NEUROAMP_OK) fail("this is no whole model");
    if (info.hop > MAX_HOP) fail("the model's hop is too long for this program");
    state = (uint64_t)atol(arguments[4]) * 2 + 1;
    neuroamp_aid *aid = make_aid(model, bytes);
    if (strcmp(arguments[1], "adversarial") == 0) {
        return adversarial(aid, &info, atol(arguments[3]));
    }
    if (strcmp(arguments[1], "stream") == 0) {
        return stream(aid, &info, atol(arguments[3]));
    }
    if (strcmp(arguments[1], "threads") == 0) {
        return threads(aid, &info, atol(arguments[3]));
    }
    fail("there is no such command; see aid_driver.c");
    return 1;
}
