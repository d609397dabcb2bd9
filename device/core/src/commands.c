/* What the commands of the fitting link do: docs/serial-protocol.md, command by command. */
#include "link.h"

#include "bytes.h"

enum {
    ANSWER_BYTES = NA_PAYLOAD_BYTES - 2,
    READ_BYTES = ANSWER_BYTES - 2,
    WRITE_HEAD = 3,
    MODEL_HEAD = 4,
    MODEL_PART = 96,
    MODEL_SLOTS = 2,
    NO_MODEL = 255,
    EVENT_BYTES = 12,
    EVENTS_A_REPLY = 8,
    MAX_TRIAL_S = 600,
    TRIAL_AGAIN_MS = 1000, /* where the device refused its end */
    BOTH = NEUROAMP_LEFT | NEUROAMP_RIGHT,
    PROGRAM_NOISE = 1,
    PROGRAM_MUSIC = 2,
    MAX_PROGRAM = PROGRAM_MUSIC,
    RECORD = NEUROAMP_FITTING_RECORD_BYTES,
    CALIBRATION_RECORD = NEUROAMP_CALIBRATION_RECORD_BYTES,
    FORGET_FITTINGS = 1,
    FORGET_CALIBRATION = 2,
    /* Of a model file, docs/core.md. */
    MODEL_LENGTH_AT = 12,
    MODEL_SHA256_AT = 24,
    MODEL_HASHED_FROM = 64
};

#define LETTERS_CALB 0x424c4143u
#define LETTERS_RSET 0x54455352u

/* Values that are named as wrong. */
enum {
    VALUE_EAR = 32,
    VALUE_SECONDS,
    VALUE_VOLUME,
    VALUE_PROGRAM,
    VALUE_NOISE_REDUCTION,
    VALUE_ON,
    VALUE_STAGE,
    VALUE_OBJECT,
    VALUE_SLOT,
    VALUE_LENGTH,
    VALUE_LETTERS,
    VALUE_VERSION,
    VALUE_SESSION,
    VALUE_WHAT
};

enum { OBJECT_STORED = 1, OBJECT_STAGED, OBJECT_ACTIVE, OBJECT_TIMES };

_Static_assert(sizeof(na_times_record) == 40 + 4 * NEUROAMP_BUCKETS, "laid out as it is sent");

static const neuroamp_ear EARS[2] = {NEUROAMP_LEFT, NEUROAMP_RIGHT};

static na_side *side_of(neuroamp_link *link, neuroamp_ear ear) {
    return ear == NEUROAMP_LEFT ? &link->left : &link->right;
}

static na_reply_status wrong(na_exchange *x, unsigned field) {
    x->field = (uint8_t)field;
    return NA_REPLY_BAD_VALUE;
}

/* An ear, or with `largest` of BOTH a set of them. */
static na_reply_status check_ears(const neuroamp_link *link, na_exchange *x, unsigned ears,
                                  unsigned largest) {
    if (ears < 1 || ears > largest) {
        return wrong(x, VALUE_EAR);
    }
    return (ears & ~(unsigned)link->device->ears) == 0 ? NA_REPLY_OK : NA_REPLY_NO_SUCH_EAR;
}

static void put_u8(na_exchange *x, unsigned value) { x->out[x->out_bytes++] = (uint8_t)value; }

static void put_u16(na_exchange *x, uint32_t value) {
    na_write_u16(x->out + x->out_bytes, value);
    x->out_bytes += 2;
}

static void put_u32(na_exchange *x, uint32_t value) {
    na_write_u32(x->out + x->out_bytes, value);
    x->out_bytes += 4;
}

static void put_u64(na_exchange *x, uint64_t value) {
    put_u32(x, (uint32_t)value);
    put_u32(x, (uint32_t)(value >> 32));
}

static void put_f32(na_exchange *x, float value) {
    na_write_f32(x->out + x->out_bytes, value);
    x->out_bytes += 4;
}

static void put_bytes(na_exchange *x, const uint8_t *bytes, size_t count) {
    memcpy(x->out + x->out_bytes, bytes, count);
    x->out_bytes += count;
}

static void put_text(na_exchange *x, const char *text, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) {
        put_u8(x, (uint8_t)*text);
        text += *text != 0;
    }
}

/* --- What is in force. --- */

static float program_strength(unsigned program, float fitted) {
    return program == PROGRAM_NOISE ? 1.0f : program == PROGRAM_MUSIC ? 0.0f : fitted;
}

/* Plays an ear's trial, or with NA_STORED what is stored, or where that is nothing the unfitted
 * state. Returns 0, and what was in force stays, if the device refuses. */
static int play(neuroamp_link *link, neuroamp_ear ear, na_source source) {
    uint8_t stored[RECORD];
    na_side *side = side_of(link, ear);
    const uint8_t *record = side->trial;
    if (source == NA_STORED) {
        record = stored;
        if (!neuroamp_settings_fitting(link->settings, ear, stored)) {
            source = NA_UNFITTED;
        }
    }
    neuroamp_fitting fitting = neuroamp_unfitted(ear);
    if (source != NA_UNFITTED) {
        na_decode_fitting(record, &fitting);
    }
    const unsigned program = source == NA_UNFITTED ? 0 : na_record_program(record);
    const float fitted = fitting.noise_reduction;
    fitting.noise_reduction = program_strength(program, fitted);
    if (!link->device->set_fitting(link->device->context, &fitting)) {
        neuroamp_link_log(link, NEUROAMP_EVENT_REFUSED, ear, 0);
        return 0;
    }
    side->source = (uint8_t)source;
    side->program = (uint8_t)program;
    side->crc = source == NA_UNFITTED ? 0 : na_record_crc(record);
    side->mpo_db_spl = fitting.mpo_db_spl;
    side->fitted_reduction = fitted;
    side->noise_reduction = fitting.noise_reduction;
    return 1;
}

/* Milliseconds that a trial goes on; 0 when it is over, also if that was a moment ago. */
static uint32_t trial_left_ms(const neuroamp_link *link, const na_side *side) {
    const uint32_t left = side->trial_end_ms - link->device->now_ms(link->device->context);
    return (int32_t)left > 0 ? left : 0;
}

static void calibrate(neuroamp_link *link, neuroamp_ear ear) {
    uint8_t record[CALIBRATION_RECORD];
    neuroamp_calibration calibration;
    const neuroamp_link_device *device = link->device;
    na_side *side = side_of(link, ear);
    const int is_stored = neuroamp_settings_calibration(link->settings, ear, record) &&
                          neuroamp_read_calibration(record, &calibration) == NEUROAMP_OK;
    side->is_calibrated =
        device->set_calibration(device->context, ear, is_stored ? &calibration : NULL) && is_stored;
    if (is_stored && !side->is_calibrated) {
        neuroamp_link_log(link, NEUROAMP_EVENT_REFUSED, ear, 1);
    }
}

void na_link_start(neuroamp_link *link) {
    neuroamp_link_log(link, NEUROAMP_EVENT_STARTED, 0, link->device->start_cause);
    for (uint32_t store = 0; store < 2; store++) {
        if (link->settings->stores[store].damaged) {
            neuroamp_link_log(link, NEUROAMP_EVENT_DAMAGED_SETTINGS, 0, store);
        }
    }
    for (size_t i = 0; i < 2; i++) {
        if ((link->device->ears & EARS[i]) == 0) {
            continue;
        }
        if (link->device->set_calibration != NULL) {
            calibrate(link, EARS[i]);
        }
        play(link, EARS[i], NA_STORED);
    }
}

void na_link_drop_staged(neuroamp_link *link) {
    link->left.staged_bytes = 0;
    link->right.staged_bytes = 0;
}

void na_link_end_trials(neuroamp_link *link) {
    for (size_t i = 0; i < 2; i++) {
        na_side *side = side_of(link, EARS[i]);
        if (side->source != NA_TRIAL || trial_left_ms(link, side) > 0) {
            continue;
        }
        if (play(link, EARS[i], NA_STORED)) {
            neuroamp_link_log(link, NEUROAMP_EVENT_TRIAL_RAN_OUT, EARS[i], 0);
        } else {
            side->trial_end_ms += TRIAL_AGAIN_MS;
        }
    }
}

/* Ends the trials of some ears; returns which had one. */
static unsigned end_trials_of(neuroamp_link *link, unsigned ears) {
    unsigned ended = 0;
    for (size_t i = 0; i < 2; i++) {
        if ((ears & EARS[i]) != 0 && side_of(link, EARS[i])->source == NA_TRIAL) {
            play(link, EARS[i], NA_STORED);
            ended |= EARS[i];
        }
    }
    return ended;
}

static unsigned ears_with(neuroamp_link *link, int (*has)(neuroamp_link *, neuroamp_ear)) {
    unsigned found = 0;
    for (size_t i = 0; i < 2; i++) {
        if ((link->device->ears & EARS[i]) != 0 && has(link, EARS[i])) {
            found |= EARS[i];
        }
    }
    return found;
}

static int has_fitting(neuroamp_link *link, neuroamp_ear ear) {
    uint8_t record[RECORD];
    return neuroamp_settings_fitting(link->settings, ear, record);
}

static int has_trial(neuroamp_link *link, neuroamp_ear ear) {
    return side_of(link, ear)->source == NA_TRIAL;
}

static int has_calibration(neuroamp_link *link, neuroamp_ear ear) {
    return side_of(link, ear)->is_calibrated;
}

static int is_unfitted(neuroamp_link *link, neuroamp_ear ear) {
    return side_of(link, ear)->source == NA_UNFITTED;
}

/* --- Who the device is. --- */

static na_reply_status on_hello(neuroamp_link *link, na_exchange *x) {
    const neuroamp_link_device *device = link->device;
    const uint8_t lowest = x->in[0], highest = x->in[1];
    if (lowest > highest) {
        return wrong(x, VALUE_VERSION);
    }
    if (x->sequence != 0 || x->session == 0) {
        return wrong(x, VALUE_SESSION);
    }
    if (lowest > NA_PROTOCOL || highest < NA_PROTOCOL) {
        x->index = NA_PROTOCOL;
        return NA_REPLY_WRONG_VERSION;
    }
    put_u8(x, NA_PROTOCOL);
    put_u8(x, device->ears);
    put_u16(x, NEUROAMP_LINK_FRAME_BYTES);
    put_u32(x, (device->has_net != 0 ? 1u : 0) | (device->set_calibration != NULL ? 2u : 0) |
                   (device->model_slot_bytes != 0 ? 4u : 0) | (device->times != NULL ? 8u : 0) |
                   (device->keeps_settings != 0 ? 16u : 0));
    return NA_REPLY_OK;
}

static na_reply_status on_identify(neuroamp_link *link, na_exchange *x) {
    const neuroamp_link_device *device = link->device;
    put_text(x, device->serial, 16);
    put_text(x, device->name, 24);
    put_text(x, device->firmware, 16);
    put_text(x, device->profile, 16);
    put_u32(x, device->sample_rate_hz);
    put_u16(x, device->hop);
    put_u16(x, device->delay_samples);
    put_u8(x, ears_with(link, has_fitting));
    put_u8(x, ears_with(link, has_trial));
    put_u8(x, ears_with(link, has_calibration));
    put_u8(x, device->get_output(device->context));
    put_u8(x, device->model_slot_bytes == 0 ? NO_MODEL : device->active_model(device->context));
    return NA_REPLY_OK;
}

/* --- Fittings. --- */

static na_reply_status read_times(neuroamp_link *link, na_exchange *x) {
    const neuroamp_link_device *device = link->device;
    const uint8_t ear = x->in[1], stage = x->in[2];
    const size_t offset = na_read_u16(x->in + 3);
    if (device->times == NULL) {
        return NA_REPLY_NOTHING_THERE;
    }
    if (offset == 0) {
        memset(&link->times, 0, sizeof link->times);
        link->times.ticks_per_second = device->ticks_per_second;
        device->times(device->context, (neuroamp_ear)ear, (neuroamp_stage)stage,
                      &link->times.times);
        link->times_ear = ear;
        link->times_stage = stage;
    } else if (link->times_ear != ear || link->times_stage != stage ||
               offset > sizeof link->times) {
        return NA_REPLY_BAD_OFFSET;
    }
    const size_t rest = sizeof link->times - offset;
    put_u16(x, sizeof link->times);
    put_bytes(x, (const uint8_t *)&link->times + offset, rest < READ_BYTES ? rest : READ_BYTES);
    return NA_REPLY_OK;
}

static na_reply_status on_read(neuroamp_link *link, na_exchange *x) {
    const uint8_t object = x->in[0], stage = x->in[2];
    const size_t offset = na_read_u16(x->in + 3);
    if (object < OBJECT_STORED || object > OBJECT_TIMES) {
        return wrong(x, VALUE_OBJECT);
    }
    const na_reply_status status = check_ears(link, x, x->in[1], NEUROAMP_RIGHT);
    if (status != NA_REPLY_OK) {
        return status;
    }
    if (stage >= (object == OBJECT_TIMES ? NEUROAMP_STAGES : 1)) {
        return wrong(x, VALUE_STAGE);
    }
    if (object == OBJECT_TIMES) {
        return read_times(link, x);
    }
    uint8_t stored[RECORD];
    const neuroamp_ear ear = (neuroamp_ear)x->in[1];
    const na_side *side = side_of(link, ear);
    const uint8_t *record = stored;
    if (object == OBJECT_STAGED) {
        record = side->staged_bytes == RECORD ? side->staged : NULL;
    } else if (object == OBJECT_ACTIVE && side->source == NA_TRIAL) {
        record = side->trial;
    } else if (!neuroamp_settings_fitting(link->settings, ear, stored)) {
        record = NULL;
    }
    if (record == NULL) {
        return NA_REPLY_NOTHING_THERE;
    }
    if (offset > RECORD) {
        return NA_REPLY_BAD_OFFSET;
    }
    put_u16(x, RECORD);
    put_bytes(x, record + offset, RECORD - offset < READ_BYTES ? RECORD - offset : READ_BYTES);
    return NA_REPLY_OK;
}

static na_reply_status on_write(neuroamp_link *link, na_exchange *x) {
    const size_t offset = na_read_u16(x->in + 1), count = x->bytes - WRITE_HEAD;
    na_reply_status status = check_ears(link, x, x->in[0], NEUROAMP_RIGHT);
    if (status != NA_REPLY_OK) {
        return status;
    }
    const neuroamp_ear ear = (neuroamp_ear)x->in[0];
    na_side *side = side_of(link, ear);
    if (offset != 0 && (offset != side->staged_bytes || count > RECORD - offset)) {
        return NA_REPLY_BAD_OFFSET;
    }
    memcpy(side->staged + offset, x->in + WRITE_HEAD, count);
    side->staged_bytes = (uint16_t)(offset + count);
    if (side->staged_bytes == RECORD) {
        na_fault fault;
        const na_record_state state = na_check_fitting(side->staged, &fault);
        if (state == NA_RECORD_BAD_CRC) {
            status = NA_REPLY_BAD_CRC;
        } else if (state == NA_RECORD_BAD_VALUE) {
            status = wrong(x, fault.field);
            x->index = fault.index;
        } else if (na_record_ear(side->staged) != (unsigned)ear) {
            status = wrong(x, 2);
        }
        if (status != NA_REPLY_OK) {
            side->staged_bytes = 0;
            return status;
        }
    }
    put_u16(x, side->staged_bytes);
    return NA_REPLY_OK;
}

/* Whether each of the ears has a complete staged record of its CRC. */
static na_reply_status check_staged(neuroamp_link *link, unsigned ears, const uint8_t *crcs) {
    for (size_t i = 0; i < 2; i++) {
        if ((ears & EARS[i]) != 0 && side_of(link, EARS[i])->staged_bytes != RECORD) {
            return NA_REPLY_NOTHING_THERE;
        }
    }
    for (size_t i = 0; i < 2; i++) {
        const uint32_t expected =
            (ears & EARS[i]) == 0 ? 0 : na_record_crc(side_of(link, EARS[i])->staged);
        if (na_read_u32(crcs + 4 * i) != expected) {
            return NA_REPLY_BAD_CRC;
        }
    }
    return NA_REPLY_OK;
}

static na_reply_status on_try(neuroamp_link *link, na_exchange *x) {
    const neuroamp_link_device *device = link->device;
    const unsigned ears = x->in[0];
    const uint32_t seconds = na_read_u16(x->in + 1);
    na_reply_status status = check_ears(link, x, ears, BOTH);
    if (status != NA_REPLY_OK) {
        return status;
    }
    if (seconds < 1 || seconds > MAX_TRIAL_S) {
        return wrong(x, VALUE_SECONDS);
    }
    status = check_staged(link, ears, x->in + 3);
    if (status != NA_REPLY_OK) {
        return status;
    }
    for (size_t i = 0; i < 2; i++) {
        na_side *side = side_of(link, EARS[i]);
        if ((ears & EARS[i]) == 0) {
            continue;
        }
        memcpy(side->trial, side->staged, RECORD);
        side->trial_end_ms = device->now_ms(device->context) + 1000 * seconds;
        if (!play(link, EARS[i], NA_TRIAL)) {
            end_trials_of(link, ears);
            return NA_REPLY_REFUSED;
        }
    }
    neuroamp_link_log(link, NEUROAMP_EVENT_TRIAL_BEGAN, ears, seconds);
    return NA_REPLY_OK;
}

static na_reply_status on_commit(neuroamp_link *link, na_exchange *x) {
    const unsigned ears = x->in[0];
    na_reply_status status = check_ears(link, x, ears, BOTH);
    if (status == NA_REPLY_OK) {
        status = check_staged(link, ears, x->in + 1);
    }
    if (status != NA_REPLY_OK) {
        return status;
    }
    const uint8_t *left = (ears & NEUROAMP_LEFT) != 0 ? link->left.staged : NULL;
    const uint8_t *right = (ears & NEUROAMP_RIGHT) != 0 ? link->right.staged : NULL;
    if (!neuroamp_settings_store_fittings(link->settings, left, right)) {
        return NA_REPLY_STORE_FAILED;
    }
    const uint32_t number = link->settings->stores[NEUROAMP_FITTINGS].number;
    neuroamp_link_log(link, NEUROAMP_EVENT_FITTING_STORED, ears, number);
    for (size_t i = 0; i < 2; i++) {
        if ((ears & EARS[i]) == 0) {
            continue;
        }
        side_of(link, EARS[i])->staged_bytes = 0;
        if (!play(link, EARS[i], NA_STORED)) {
            status = NA_REPLY_REFUSED;
        }
    }
    put_u32(x, number);
    return status;
}

static na_reply_status on_revert(neuroamp_link *link, na_exchange *x) {
    const na_reply_status status = check_ears(link, x, x->in[0], BOTH);
    if (status == NA_REPLY_OK) {
        const unsigned ended = end_trials_of(link, x->in[0]);
        if (ended != 0) {
            neuroamp_link_log(link, NEUROAMP_EVENT_TRIAL_ENDED, ended, 0);
        }
        put_u8(x, ended);
    }
    return status;
}

/* --- What goes on. --- */

static na_reply_status on_applied(neuroamp_link *link, na_exchange *x) {
    const neuroamp_link_device *device = link->device;
    const na_reply_status status = check_ears(link, x, x->in[0], NEUROAMP_RIGHT);
    if (status != NA_REPLY_OK) {
        return status;
    }
    float gain_db[NEUROAMP_CHANNELS];
    const neuroamp_ear ear = (neuroamp_ear)x->in[0];
    const na_side *side = side_of(link, ear);
    const float ceiling = device->ceiling_db_spl(device->context, ear);
    device->applied_gain_db(device->context, ear, gain_db);
    put_u8(x, side->source);
    put_u8(x, side->program);
    put_u8(x, device->get_output(device->context));
    put_u8(x, side->is_calibrated);
    put_u32(x, side->crc);
    put_u32(x, side->source == NA_TRIAL ? trial_left_ms(link, side) : 0);
    put_f32(x, side->volume_db);
    put_f32(x, side->noise_reduction);
    put_f32(x, side->mpo_db_spl < ceiling ? side->mpo_db_spl : ceiling);
    for (size_t i = 0; i < NEUROAMP_CHANNELS; i++) {
        put_f32(x, gain_db[i]);
    }
    return NA_REPLY_OK;
}

static na_reply_status on_levels(neuroamp_link *link, na_exchange *x) {
    const neuroamp_link_device *device = link->device;
    const na_reply_status status = check_ears(link, x, x->in[0], NEUROAMP_RIGHT);
    if (status == NA_REPLY_OK) {
        neuroamp_link_levels levels;
        device->levels(device->context, (neuroamp_ear)x->in[0], &levels);
        put_f32(x, levels.input_db_spl);
        put_f32(x, levels.output_db_spl);
        put_f32(x, levels.output_peak_db_spl);
    }
    return status;
}

static na_reply_status on_counts(neuroamp_link *link, na_exchange *x) {
    const neuroamp_link_device *device = link->device;
    const na_reply_status status = check_ears(link, x, x->in[0], NEUROAMP_RIGHT);
    if (status == NA_REPLY_OK) {
        neuroamp_link_counts counts;
        device->counts(device->context, (neuroamp_ear)x->in[0], &counts);
        put_u64(x, counts.chain.steps);
        put_u64(x, counts.chain.missed_steps);
        put_u64(x, counts.chain.non_finite_samples);
        put_u64(x, counts.hops);
        put_u64(x, counts.late_hops);
        put_u32(x, device->now_ms(device->context));
        put_u32(x, link->good_frames);
        put_u32(x, link->dropped_frames);
        put_u32(x, link->repeats);
        put_u32(x, link->settings->stores[NEUROAMP_FITTINGS].number);
    }
    return status;
}

static na_reply_status on_events(neuroamp_link *link, na_exchange *x) {
    const uint32_t next = link->next_event, kept = next < NA_EVENTS ? next : NA_EVENTS;
    const uint32_t oldest = next - kept, asked = na_read_u32(x->in);
    put_u32(x, oldest);
    put_u32(x, next);
    uint32_t number = asked > oldest ? asked : oldest;
    for (unsigned i = 0; i < EVENTS_A_REPLY && number < next; i++, number++) {
        const na_event *event = &link->events[number % NA_EVENTS];
        put_u32(x, event->ms);
        put_u16(x, event->code);
        put_u8(x, event->ears);
        put_u8(x, 0);
        put_u32(x, event->argument);
    }
    return NA_REPLY_OK;
}

/* --- What one turns while listening. --- */

static na_reply_status on_mute(neuroamp_link *link, na_exchange *x) {
    const unsigned on = x->in[0];
    if (on > 1) {
        return wrong(x, VALUE_ON);
    }
    link->device->set_output(link->device->context,
                             on ? NEUROAMP_MUTED : NEUROAMP_SOUNDING);
    neuroamp_link_log(link, on ? NEUROAMP_EVENT_MUTED : NEUROAMP_EVENT_SOUNDS_AGAIN, 0, 0);
    return NA_REPLY_OK;
}

static na_reply_status on_panic(neuroamp_link *link, na_exchange *x) {
    (void)x;
    link->device->set_output(link->device->context, NEUROAMP_PANIC);
    end_trials_of(link, BOTH);
    neuroamp_link_log(link, NEUROAMP_EVENT_PANIC, 0, 0);
    return NA_REPLY_OK;
}

static void set_volume(neuroamp_link *link, unsigned ears, float volume_db) {
    for (size_t i = 0; i < 2; i++) {
        if ((ears & EARS[i]) != 0) {
            side_of(link, EARS[i])->volume_db = volume_db;
            link->device->set_volume(link->device->context, EARS[i], volume_db);
        }
    }
}

static na_reply_status on_volume(neuroamp_link *link, na_exchange *x) {
    const float volume_db = na_read_f32(x->in + 1);
    const na_reply_status status = check_ears(link, x, x->in[0], BOTH);
    if (status != NA_REPLY_OK) {
        return status;
    }
    if (!na_within(volume_db, NEUROAMP_VOLUME_MIN_DB, NEUROAMP_VOLUME_MAX_DB)) {
        return wrong(x, VALUE_VOLUME);
    }
    set_volume(link, x->in[0], volume_db);
    return NA_REPLY_OK;
}

static void set_noise_reduction(neuroamp_link *link, neuroamp_ear ear, float strength) {
    side_of(link, ear)->noise_reduction = strength;
    link->device->set_noise_reduction(link->device->context, ear, strength);
}

static na_reply_status on_program(neuroamp_link *link, na_exchange *x) {
    const unsigned ears = x->in[0], program = x->in[1];
    const na_reply_status status = check_ears(link, x, ears, BOTH);
    if (status != NA_REPLY_OK) {
        return status;
    }
    if (program > MAX_PROGRAM) {
        return wrong(x, VALUE_PROGRAM);
    }
    if ((ears_with(link, is_unfitted) & ears) != 0) {
        return NA_REPLY_NOTHING_THERE;
    }
    for (size_t i = 0; i < 2; i++) {
        if ((ears & EARS[i]) != 0) {
            na_side *side = side_of(link, EARS[i]);
            side->program = (uint8_t)program;
            set_noise_reduction(link, EARS[i], program_strength(program, side->fitted_reduction));
        }
    }
    return NA_REPLY_OK;
}

static na_reply_status on_noise_reduction(neuroamp_link *link, na_exchange *x) {
    const unsigned ears = x->in[0];
    const float strength = na_read_f32(x->in + 1);
    const na_reply_status status = check_ears(link, x, ears, BOTH);
    if (status != NA_REPLY_OK) {
        return status;
    }
    if (!na_within(strength, 0.0f, 1.0f)) {
        return wrong(x, VALUE_NOISE_REDUCTION);
    }
    if ((ears_with(link, is_unfitted) & ears) != 0) {
        return NA_REPLY_NOTHING_THERE;
    }
    for (size_t i = 0; i < 2; i++) {
        if ((ears & EARS[i]) != 0) {
            set_noise_reduction(link, EARS[i], strength);
        }
    }
    return NA_REPLY_OK;
}

/* --- Calibration. --- */

static na_reply_status on_read_calibration(neuroamp_link *link, na_exchange *x) {
    uint8_t record[CALIBRATION_RECORD];
    const na_reply_status status = check_ears(link, x, x->in[0], NEUROAMP_RIGHT);
    if (status != NA_REPLY_OK) {
        return status;
    }
    if (!neuroamp_settings_calibration(link->settings, (neuroamp_ear)x->in[0], record)) {
        return NA_REPLY_NOTHING_THERE;
    }
    put_bytes(x, record, sizeof record);
    return NA_REPLY_OK;
}

static na_reply_status on_write_calibration(neuroamp_link *link, na_exchange *x) {
    const neuroamp_link_device *device = link->device;
    const uint8_t *record = x->in + 4;
    na_fault fault;
    if (na_read_u32(x->in) != LETTERS_CALB) {
        return wrong(x, VALUE_LETTERS);
    }
    const na_record_state state = na_check_calibration(record, &fault);
    if (state == NA_RECORD_BAD_CRC) {
        return NA_REPLY_BAD_CRC;
    }
    if (state == NA_RECORD_BAD_VALUE) {
        x->index = fault.index;
        return wrong(x, fault.field);
    }
    const neuroamp_ear ear = (neuroamp_ear)na_record_ear(record);
    const na_reply_status status = check_ears(link, x, ear, NEUROAMP_RIGHT);
    if (status != NA_REPLY_OK) {
        return status;
    }
    if (device->get_output(device->context) == NEUROAMP_SOUNDING) {
        return NA_REPLY_NOT_NOW;
    }
    if (!neuroamp_settings_store_calibration(link->settings, ear, record)) {
        return NA_REPLY_STORE_FAILED;
    }
    neuroamp_link_log(link, NEUROAMP_EVENT_CALIBRATION_STORED, ear, 0);
    calibrate(link, ear);
    return side_of(link, ear)->is_calibrated ? NA_REPLY_OK : NA_REPLY_REFUSED;
}

/* --- Models. --- */

/* A slot's file as far as its header says, and how long that is; null if it cannot be one. */
static const uint8_t *model_file(const neuroamp_link *link, unsigned slot, uint32_t *length) {
    uint32_t room = 0;
    const uint8_t *data = link->device->model(link->device->context, slot, &room);
    if (data == NULL || room < MODEL_HASHED_FROM) {
        return NULL;
    }
    *length = na_read_u32(data + MODEL_LENGTH_AT);
    return *length >= MODEL_HASHED_FROM && *length <= room ? data : NULL;
}

static na_reply_status on_model_info(neuroamp_link *link, na_exchange *x) {
    static const uint8_t none[NA_SHA256_BYTES] = {0};
    const unsigned slot = x->in[0];
    const na_upload *upload = &link->upload;
    if (slot >= MODEL_SLOTS) {
        return wrong(x, VALUE_SLOT);
    }
    uint32_t length = 0, received;
    const uint8_t *sha256 = none;
    unsigned state = 0;
    if (upload->is_open && slot == upload->slot) {
        state = 1;
        length = upload->length;
        received = upload->received;
        sha256 = upload->sha256;
    } else {
        const uint8_t *data = model_file(link, slot, &length);
        if (data != NULL && neuroamp_check_model(data, length, NULL) == NEUROAMP_OK) {
            state = link->device->active_model(link->device->context) == slot ? 3 : 2;
            sha256 = data + MODEL_SHA256_AT;
        } else {
            length = 0;
        }
        received = length;
    }
    put_u8(x, state);
    put_u32(x, length);
    put_u32(x, received);
    put_bytes(x, sha256, NA_SHA256_BYTES);
    return NA_REPLY_OK;
}

static na_reply_status on_model_begin(neuroamp_link *link, na_exchange *x) {
    na_upload *upload = &link->upload;
    const uint32_t length = na_read_u32(x->in);
    const uint8_t *sha256 = x->in + 4;
    if (length < MODEL_HASHED_FROM) {
        return wrong(x, VALUE_LENGTH);
    }
    if (length > link->device->model_slot_bytes) {
        return NA_REPLY_BAD_MODEL;
    }
    if (!upload->is_open || upload->length != length ||
        memcmp(upload->sha256, sha256, NA_SHA256_BYTES) != 0) {
        upload->is_open = 1;
        upload->slot = link->device->active_model(link->device->context) == 0 ? 1 : 0;
        upload->length = length;
        upload->received = 0;
        memcpy(upload->sha256, sha256, NA_SHA256_BYTES);
        neuroamp_link_log(link, NEUROAMP_EVENT_UPLOAD_BEGAN, 0, upload->slot);
    }
    put_u8(x, upload->slot);
    put_u32(x, upload->received);
    return NA_REPLY_OK;
}

static na_reply_status on_model_write(neuroamp_link *link, na_exchange *x) {
    const neuroamp_link_device *device = link->device;
    na_upload *upload = &link->upload;
    const size_t count = x->bytes - MODEL_HEAD;
    if (!upload->is_open) {
        return NA_REPLY_NOT_NOW;
    }
    if (na_read_u32(x->in) != upload->received) {
        return NA_REPLY_BAD_OFFSET;
    }
    const uint32_t rest = upload->length - upload->received;
    if (count != (rest < MODEL_PART ? rest : MODEL_PART)) {
        return NA_REPLY_BAD_LENGTH;
    }
    if (!device->write_model(device->context, upload->slot, upload->received, x->in + MODEL_HEAD,
                             count)) {
        upload->is_open = 0;
        return NA_REPLY_STORE_FAILED;
    }
    upload->received += (uint32_t)count;
    upload->is_open = upload->received < upload->length;
    put_u32(x, upload->received);
    return NA_REPLY_OK;
}

static na_reply_status on_model_activate(neuroamp_link *link, na_exchange *x) {
    const neuroamp_link_device *device = link->device;
    const unsigned slot = x->in[0];
    const uint8_t *wanted = x->in + 1;
    if (slot >= MODEL_SLOTS) {
        return wrong(x, VALUE_SLOT);
    }
    if (link->upload.is_open && link->upload.slot == slot) {
        return NA_REPLY_NOT_NOW;
    }
    uint8_t found[NA_SHA256_BYTES];
    uint32_t length = 0;
    const uint8_t *data = model_file(link, slot, &length);
    if (data == NULL || memcmp(data + MODEL_SHA256_AT, wanted, NA_SHA256_BYTES) != 0) {
        return NA_REPLY_BAD_HASH;
    }
    na_sha256(data + MODEL_HASHED_FROM, length - MODEL_HASHED_FROM, found);
    if (memcmp(found, wanted, NA_SHA256_BYTES) != 0) {
        return NA_REPLY_BAD_HASH;
    }
    if (neuroamp_check_model(data, length, NULL) != NEUROAMP_OK) {
        return NA_REPLY_BAD_MODEL;
    }
    const neuroamp_link_activation activation = device->activate_model(device->context, slot);
    if (activation == NEUROAMP_LINK_REFUSED) {
        return NA_REPLY_REFUSED;
    }
    if (!neuroamp_settings_store_model_slot(link->settings, slot)) {
        return NA_REPLY_STORE_FAILED;
    }
    neuroamp_link_log(link, NEUROAMP_EVENT_MODEL_ACTIVATED, 0, slot);
    put_u8(x, activation == NEUROAMP_LINK_AT_NEXT_START);
    return NA_REPLY_OK;
}

/* --- Factory reset. --- */

static na_reply_status on_factory_reset(neuroamp_link *link, na_exchange *x) {
    const neuroamp_link_device *device = link->device;
    const unsigned what = x->in[0];
    if (what < FORGET_FITTINGS || what > (FORGET_FITTINGS | FORGET_CALIBRATION)) {
        return wrong(x, VALUE_WHAT);
    }
    if (na_read_u32(x->in + 1) != LETTERS_RSET) {
        return wrong(x, VALUE_LETTERS);
    }
    if (device->get_output(device->context) == NEUROAMP_SOUNDING) {
        device->set_output(device->context, NEUROAMP_MUTED);
    }
    na_link_drop_staged(link);
    end_trials_of(link, BOTH);
    set_volume(link, device->ears, 0.0f);
    if (((what & FORGET_FITTINGS) != 0 &&
         !neuroamp_settings_forget(link->settings, NEUROAMP_FITTINGS)) ||
        ((what & FORGET_CALIBRATION) != 0 &&
         !neuroamp_settings_forget(link->settings, NEUROAMP_CALIBRATION))) {
        return NA_REPLY_STORE_FAILED;
    }
    for (size_t i = 0; i < 2; i++) {
        if ((device->ears & EARS[i]) == 0) {
            continue;
        }
        if ((what & FORGET_CALIBRATION) != 0 && device->set_calibration != NULL) {
            calibrate(link, EARS[i]);
        }
        play(link, EARS[i], NA_STORED);
    }
    neuroamp_link_log(link, NEUROAMP_EVENT_FACTORY_RESET, 0, what);
    put_u8(x, what);
    return NA_REPLY_OK;
}

/* --- All commands. --- */

enum { ALWAYS, WITH_CALIBRATION, WITH_MODELS };

static const struct {
    uint8_t code, needs, least, most; /* bytes of the request */
} COMMANDS[] = {
    {NA_COMMAND_HELLO, ALWAYS, 2, 2},
    {0x02, ALWAYS, 0, 0},
    {0x03, ALWAYS, 5, 5},
    {0x04, ALWAYS, WRITE_HEAD + 1, NA_PAYLOAD_BYTES},
    {0x05, ALWAYS, 11, 11},
    {0x06, ALWAYS, 9, 9},
    {0x07, ALWAYS, 1, 1},
    {0x08, ALWAYS, 1, 1},
    {0x09, ALWAYS, 1, 1},
    {0x0a, ALWAYS, 1, 1},
    {0x0b, ALWAYS, 4, 4},
    {0x10, ALWAYS, 1, 1},
    {NA_COMMAND_PANIC, ALWAYS, 0, 0},
    {0x12, ALWAYS, 5, 5},
    {0x13, ALWAYS, 2, 2},
    {0x14, ALWAYS, 5, 5},
    {0x20, WITH_CALIBRATION, 1, 1},
    {0x21, WITH_CALIBRATION, 4 + CALIBRATION_RECORD, 4 + CALIBRATION_RECORD},
    {0x30, WITH_MODELS, 1, 1},
    {0x31, WITH_MODELS, 4 + NA_SHA256_BYTES, 4 + NA_SHA256_BYTES},
    {0x32, WITH_MODELS, MODEL_HEAD + 1, MODEL_HEAD + MODEL_PART},
    {0x33, WITH_MODELS, 1 + NA_SHA256_BYTES, 1 + NA_SHA256_BYTES},
    {0x3f, ALWAYS, 5, 5},
};

/* A request that this device knows and that is as long as it must be. */
static na_reply_status run(neuroamp_link *link, uint8_t command, na_exchange *x) {
    switch (command) {
    case NA_COMMAND_HELLO: return on_hello(link, x);
    case 0x02: return on_identify(link, x);
    case 0x03: return on_read(link, x);
    case 0x04: return on_write(link, x);
    case 0x05: return on_try(link, x);
    case 0x06: return on_commit(link, x);
    case 0x07: return on_revert(link, x);
    case 0x08: return on_applied(link, x);
    case 0x09: return on_levels(link, x);
    case 0x0a: return on_counts(link, x);
    case 0x0b: return on_events(link, x);
    case 0x10: return on_mute(link, x);
    case NA_COMMAND_PANIC: return on_panic(link, x);
    case 0x12: return on_volume(link, x);
    case 0x13: return on_program(link, x);
    case 0x14: return on_noise_reduction(link, x);
    case 0x20: return on_read_calibration(link, x);
    case 0x21: return on_write_calibration(link, x);
    case 0x30: return on_model_info(link, x);
    case 0x31: return on_model_begin(link, x);
    case 0x32: return on_model_write(link, x);
    case 0x33: return on_model_activate(link, x);
    case 0x3f: return on_factory_reset(link, x);
    default: return NA_REPLY_UNKNOWN_COMMAND;
    }
}

static int is_there(const neuroamp_link_device *device, uint8_t needs) {
    return needs == WITH_CALIBRATION ? device->set_calibration != NULL
           : needs == WITH_MODELS    ? device->model_slot_bytes != 0
                                     : 1;
}

na_reply_status na_link_run(neuroamp_link *link, uint8_t command, na_exchange *exchange) {
    for (size_t i = 0; i < sizeof COMMANDS / sizeof *COMMANDS; i++) {
        if (COMMANDS[i].code == command && is_there(link->device, COMMANDS[i].needs)) {
            const int fits =
                exchange->bytes >= COMMANDS[i].least && exchange->bytes <= COMMANDS[i].most;
            return fits ? run(link, command, exchange) : NA_REPLY_BAD_LENGTH;
        }
    }
    return NA_REPLY_UNKNOWN_COMMAND;
}
