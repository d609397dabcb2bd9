#include "service.h"

#include "board.h"
#include "model.h"

#include <string.h>

enum { READ_TRIES = 100 };

static neuroamp_settings settings;
static neuroamp_flash flash;
static neuroamp_link_device device;
static _Alignas(NEUROAMP_ALIGNMENT) uint8_t link_memory[NEUROAMP_LINK_BYTES];
static neuroamp_link *link; /* null: nothing is served */

/* --- The settings memory. --- */

static int read_flash(void *context, uint32_t address, uint8_t *bytes, size_t count) {
    (void)context;
    return board_flash_read(address, bytes, count);
}

static int erase_flash(void *context, uint32_t address) {
    (void)context;
    return board_flash_erase(address);
}

static int program_flash(void *context, uint32_t address, const uint8_t *bytes, size_t count) {
    (void)context;
    return board_flash_program(address, bytes, count);
}

void service_open_settings(void) {
    flash = (neuroamp_flash){
        .unit_bytes = (uint32_t)board_flash_unit(),
        .read = read_flash,
        .erase = erase_flash,
        .program = program_flash,
    };
    neuroamp_settings_open(&settings, &flash);
}

neuroamp_fitting service_stored_fitting(neuroamp_ear ear) {
    uint8_t record[NEUROAMP_FITTING_RECORD_BYTES];
    neuroamp_fitting fitting;
    if (neuroamp_settings_fitting(&settings, ear, record) &&
        neuroamp_read_fitting(record, &fitting) == NEUROAMP_OK) {
        return fitting;
    }
    return neuroamp_unfitted(ear);
}

int service_stored_calibration(neuroamp_ear ear, neuroamp_calibration *calibration) {
    uint8_t record[NEUROAMP_CALIBRATION_RECORD_BYTES];
    return neuroamp_settings_calibration(&settings, ear, record) &&
           neuroamp_read_calibration(record, calibration) == NEUROAMP_OK;
}

/* --- What the link asks of the device; `context` is the aid. --- */

static void send(void *context, const uint8_t *bytes, size_t count) {
    (void)context;
    board_serial_write(bytes, count);
}

static uint32_t now_ms(void *context) {
    (void)context;
    return (uint32_t)(board_ticks() * 1000 / board_tick_hz());
}

static int set_fitting(void *context, const neuroamp_fitting *fitting) {
    const neuroamp_fitting *playing = neuroamp_aid_get_fitting(context, (neuroamp_ear)fitting->ear);
    if (playing != NULL && memcmp(playing, fitting, sizeof *fitting) == 0) {
        return 1; /* nothing to fade to, as at the start */
    }
    return neuroamp_aid_set_fitting(context, fitting) == NEUROAMP_OK;
}

static int set_calibration(void *context, neuroamp_ear ear,
                           const neuroamp_calibration *calibration) {
    return (calibration == NULL ? neuroamp_aid_forget_calibration(context, ear)
                                : neuroamp_aid_set_calibration(context, calibration)) ==
           NEUROAMP_OK;
}

static void set_volume(void *context, neuroamp_ear ear, float volume_db) {
    neuroamp_aid_set_volume(context, ear, volume_db);
}

static void set_noise_reduction(void *context, neuroamp_ear ear, float strength) {
    neuroamp_aid_set_noise_reduction(context, ear, strength);
}

static void set_output(void *context, neuroamp_output output) {
    neuroamp_aid_set_output(context, output);
}

static neuroamp_output get_output(void *context) { return neuroamp_aid_get_output(context); }

/* The audio interrupt may write in between; the next try has almost a hop's time. */
static neuroamp_aid_report report_of(const neuroamp_aid *aid, neuroamp_ear ear) {
    neuroamp_aid_report report;
    memset(&report, 0, sizeof report);
    for (int i = 0; i < READ_TRIES && !neuroamp_aid_read(aid, ear, &report); i++) {
    }
    return report;
}

static void applied_gain_db(void *context, neuroamp_ear ear, float gain_db[NEUROAMP_CHANNELS]) {
    const neuroamp_aid_report report = report_of(context, ear);
    const float volume_db = neuroamp_aid_get_volume(context, ear);
    for (size_t c = 0; c < NEUROAMP_CHANNELS; c++) {
        gain_db[c] = report.gain_65_db[c] + volume_db;
    }
}

static float ceiling_db_spl(void *context, neuroamp_ear ear) {
    const neuroamp_calibration *calibration = neuroamp_aid_get_calibration(context, ear);
    return calibration == NULL ? 0.0f : calibration->ceiling_db_spl;
}

static void levels(void *context, neuroamp_ear ear, neuroamp_link_levels *found) {
    const neuroamp_aid_report report = report_of(context, ear);
    found->input_db_spl = report.input_db_spl;
    found->output_db_spl = report.output_db_spl;
    found->output_peak_db_spl = report.output_peak_db_spl;
}

static void counts(void *context, neuroamp_ear ear, neuroamp_link_counts *found) {
    const neuroamp_aid_report report = report_of(context, ear);
    found->chain = report.counts;
    found->hops = report.hops;
    found->late_hops = report.late_hops;
}

static void times(void *context, neuroamp_ear ear, neuroamp_stage stage, neuroamp_times *found) {
    memset(found, 0, sizeof *found);
    for (int i = 0; i < READ_TRIES && !neuroamp_aid_read_times(context, ear, stage, found); i++) {
    }
}

/* --- The main loop's side. --- */

void service_start(neuroamp_aid *aid, neuroamp_ear ear) {
    device = (neuroamp_link_device){
        .context = aid,
        .serial = board_serial_number(),
        .name = "NeuroAMP " BOARD,
        .firmware = NEUROAMP_VERSION,
        .profile = NEUROAMP_PROFILE_NAME,
        .sample_rate_hz = NEUROAMP_SAMPLE_RATE_HZ,
        .hop = NEUROAMP_HOP,
        .delay_samples = NEUROAMP_DELAY_SAMPLES,
        .ears = (uint8_t)ear,
        .has_net = NEUROAMP_HAS_NET,
        .keeps_settings = 1,
        .ticks_per_second = board_tick_hz(),
        .send = send,
        .now_ms = now_ms,
        .set_fitting = set_fitting,
        .set_calibration = set_calibration,
        .set_volume = set_volume,
        .set_noise_reduction = set_noise_reduction,
        .set_output = set_output,
        .get_output = get_output,
        .applied_gain_db = applied_gain_db,
        .ceiling_db_spl = ceiling_db_spl,
        .levels = levels,
        .counts = counts,
        .times = times,
    };
    if (neuroamp_link_init(link_memory, sizeof link_memory, &device, &settings, &link) !=
        NEUROAMP_OK) {
        link = NULL;
    } else if (board_was_watchdog()) {
        neuroamp_link_log(link, NEUROAMP_EVENT_WATCHDOG, 0, 0);
    }
}

void service_run(const uint8_t *bytes, size_t count) {
    if (link != NULL) {
        neuroamp_link_receive(link, bytes, count);
        neuroamp_link_poll(link);
    }
}
