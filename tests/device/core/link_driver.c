/* Runs the fitting link's C side as a program, under sanitizers.
 *
 *     link_driver talk SLOT_BYTES         lines of standard input, one line of answer each:
 *                                           send HEX    bytes to the device; what comes back, HEX
 *                                           advance MS  time goes by
 *                                           restart     the device starts anew
 *                                           cut BYTES   the flash's power goes after so many bytes
 *                                           model HEX   puts a file into slot 0 and makes it active
 *                                           stored      left, right fitting; left, right calibration
 *     link_driver records                 lines "fitting HEX" or "calibration HEX": status, field,
 *                                         index and what was decoded
 *     link_driver sha256                  lines of HEX: their SHA-256
 *     link_driver streams                 lines of HEX: "BODIES DROPPED"
 *     link_driver cuts RECORDS            power cut at every byte of every settings write; RECORDS:
 *                                         lines of HEX, two fittings an ear and two calibrations
 *     link_driver mutate FRAMES SEED N    N mutated or random pieces of a line to standard output:
 *                                         u16 length, bytes; FRAMES: lines of HEX
 *     link_driver bear FRAMES             such pieces from standard input into a device
 *
 * Built with -DWITH_LIBFUZZER the input is libFuzzer's. */
#include "link.h"
#include "link_double.h"


enum { LINE = 1 << 18, PIECE_BYTES = 512, FUZZED_SLOT_BYTES = 256, FUZZED_REQUESTS = 24 };

static uint64_t state = 1;

static uint64_t draw(void) { /* xorshift64* (Vigna 2016) */
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * UINT64_C(2685821657736338717);
}

static unsigned below(unsigned count) { return (unsigned)((draw() >> 33) % count); }

/* --- What is a whole request, computed in another way than the core does. --- */

static uint32_t crc_bit_by_bit(const uint8_t *data, size_t bytes) {
    uint32_t crc = 0xffffffffu;
    for (size_t i = 0; i < bytes; i++) {
        for (int bit = 0; bit < 8; bit++) {
            const uint32_t differs = (crc ^ (uint32_t)data[i] >> bit) & 1;
            crc = crc >> 1 ^ (differs ? 0xedb88320u : 0);
        }
    }
    return ~crc;
}

/* Splits a line's bytes at zeros and counts whole requests. */
typedef struct splitter {
    uint8_t run[4096];
    size_t bytes;
    unsigned long whole, broken;
} splitter;

static void split(splitter *s, const uint8_t *bytes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (bytes[i] != 0) {
            if (s->bytes < sizeof s->run) s->run[s->bytes++] = bytes[i];
            continue;
        }
        if (s->bytes == 0) continue;
        uint8_t body[sizeof s->run];
        size_t length = 0, left = 0;
        int is_sound = s->bytes <= 126;
        for (size_t k = 0; k < s->bytes; k++) { /* byte by byte; `left` until the next code */
            if (left == 0) {
                if (k > 0) body[length++] = 0;
                left = s->run[k] - 1u;
            } else {
                body[length++] = s->run[k];
                left--;
            }
        }
        is_sound = is_sound && left == 0 && length >= 12 && body[0] == 0x51;
        if (is_sound) {
            const uint32_t found = (uint32_t)body[length - 4] | (uint32_t)body[length - 3] << 8 |
                                   (uint32_t)body[length - 2] << 16 |
                                   (uint32_t)body[length - 1] << 24;
            is_sound = found == crc_bit_by_bit(body, length - 4);
        }
        s->whole += is_sound;
        s->broken += !is_sound;
        s->bytes = 0;
    }
}

/* --- Fuzzing. --- */

/* Frames a request body that lacks only its CRC. */
static size_t frame(const uint8_t *body, size_t bytes, uint8_t *wire) {
    uint8_t sealed[128];
    if (bytes > 121) bytes = 121;
    memcpy(sealed, body, bytes);
    const uint32_t crc = crc_bit_by_bit(sealed, bytes);
    for (int i = 0; i < 4; i++) sealed[bytes++] = (uint8_t)(crc >> (8 * i));
    size_t code = 1, end = 2;
    wire[0] = 0;
    for (size_t i = 0; i < bytes; i++) {
        if (sealed[i] == 0) {
            wire[code] = (uint8_t)(end - code);
            code = end++;
        } else {
            wire[end++] = sealed[i];
        }
    }
    wire[code] = (uint8_t)(end - code);
    wire[end++] = 0;
    return end;
}

static void ask(device_double *d, const uint8_t *body, size_t bytes) {
    uint8_t wire[160];
    d->reply_bytes = 0;
    neuroamp_link_receive(d->link, wire, frame(body, bytes, wire));
}

static void greet(device_double *d) {
    const uint8_t hello[] = {0x51, 1, 0, 0, 0xc1, 0x09, 0x3a, 0x7f, 1, 1};
    ask(d, hello, sizeof hello);
    if (d->reply_bytes == 0 || d->link->session == 0) fail("the greeting was not taken");
}

/* What is stored must be whole at every moment, and the same after a restart. */
static void check_settings(device_double *d) {
    neuroamp_settings again;
    uint8_t record[NEUROAMP_FITTING_RECORD_BYTES], other[NEUROAMP_FITTING_RECORD_BYTES];
    neuroamp_settings_open(&again, &d->driver);
    for (int ear = NEUROAMP_LEFT; ear <= NEUROAMP_RIGHT; ear++) {
        const int is_there = neuroamp_settings_fitting(&d->settings, (neuroamp_ear)ear, record);
        if (neuroamp_settings_fitting(&again, (neuroamp_ear)ear, other) != is_there ||
            (is_there && memcmp(record, other, sizeof record) != 0)) {
            fail("a restart finds another fitting");
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

/* The first byte chooses: bytes of the line as they are, or bodies (a length before each) with the
 * frame made right around them and, for most, the session's number and the next sequence number. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    static device_double *d;
    if (d == NULL) d = double_new(FUZZED_SLOT_BYTES);
    flash_format(&d->flash);
    for (int slot = 0; slot < 2; slot++) memset(d->models[slot], 0, FUZZED_SLOT_BYTES);
    double_start(d, FUZZED_SLOT_BYTES);
    greet(d);
    if (bytes == 0) return 0;
    if (data[0] & 1) {
        splitter s = {0};
        const unsigned long effects = d->effects;
        const long spent = d->flash.spent;
        d->reply_bytes = 0;
        neuroamp_link_receive(d->link, data + 1, bytes - 1);
        split(&s, data + 1, bytes - 1);
        if (s.whole == 0 && (d->effects != effects || d->flash.spent != spent || d->reply_bytes)) {
            fail("something that is no frame had an effect");
        }
    } else {
        uint16_t sequence = 0;
        size_t at = 1;
        for (int request = 0; at < bytes && request < FUZZED_REQUESTS; request++) {
            uint8_t body[128] = {0};
            size_t length = data[at] & 127;
            const int is_wild = data[at++] >> 7;
            if (length > bytes - at) length = bytes - at;
            memcpy(body, data + at, length);
            at += length;
            if (!is_wild) {
                sequence++;
                body[0] = 0x51;
                memcpy(body + 2, &sequence, 2);
                memcpy(body + 4, &d->link->session, 4);
                if (length < 8) length = 8;
            }
            ask(d, body, length);
            d->now_ms += 100;
            neuroamp_link_poll(d->link);
        }
    }
    check_settings(d);
    return 0;
}

#if !defined(WITH_LIBFUZZER)

/* --- Lines of hexadecimal digits. --- */

static size_t from_hex(const char *text, uint8_t *bytes, size_t room) {
    size_t count = 0;
    unsigned value;
    while (sscanf(text + 2 * count, "%2x", &value) == 1) {
        if (count == room) fail("a line is too long");
        bytes[count++] = (uint8_t)value;
    }
    return count;
}

static void print_hex(const uint8_t *bytes, size_t count) {
    for (size_t i = 0; i < count; i++) printf("%02x", bytes[i]);
}

/* Starts with `word` and a space, or is it; returns what follows. */
static const char *after(const char *line, const char *word) {
    const size_t length = strlen(word);
    if (strncmp(line, word, length) != 0) return NULL;
    return line[length] == ' ' ? line + length + 1 : line + length;
}

static void print_record(int is_there, const uint8_t *record, size_t bytes) {
    if (is_there) print_hex(record, bytes);
    else printf("-");
}

static void print_stored(device_double *d) {
    uint8_t record[NEUROAMP_FITTING_RECORD_BYTES];
    for (int ear = NEUROAMP_LEFT; ear <= NEUROAMP_RIGHT; ear++) {
        print_record(neuroamp_settings_fitting(&d->settings, (neuroamp_ear)ear, record), record,
                     NEUROAMP_FITTING_RECORD_BYTES);
        printf(" ");
    }
    for (int ear = NEUROAMP_LEFT; ear <= NEUROAMP_RIGHT; ear++) {
        print_record(neuroamp_settings_calibration(&d->settings, (neuroamp_ear)ear, record),
                     record, NEUROAMP_CALIBRATION_RECORD_BYTES);
        printf(" ");
    }
    printf("%u", neuroamp_settings_model_slot(&d->settings));
}

static void talk(uint32_t slot_bytes) {
    static char line[LINE];
    static uint8_t bytes[LINE / 2];
    device_double *d = double_new(slot_bytes);
    const char *rest;
    while (fgets(line, sizeof line, stdin) != NULL) {
        line[strcspn(line, "\n")] = 0;
        if ((rest = after(line, "send")) != NULL) {
            const size_t count = from_hex(rest, bytes, sizeof bytes);
            d->reply_bytes = 0;
            for (size_t i = 0; i < count; i++) neuroamp_link_receive(d->link, bytes + i, 1);
            print_hex(d->replies, d->reply_bytes);
        } else if ((rest = after(line, "advance")) != NULL) {
            d->now_ms += (uint32_t)atol(rest);
            neuroamp_link_poll(d->link);
        } else if (after(line, "restart") != NULL) {
            d->flash.budget = -1;
            double_start(d, slot_bytes);
        } else if ((rest = after(line, "cut")) != NULL) {
            d->flash.budget = atol(rest);
        } else if ((rest = after(line, "model")) != NULL) {
            from_hex(rest, d->models[0], SLOT_BYTES);
            d->active_model = 0;
        } else if (after(line, "stored") != NULL) {
            print_stored(d);
        } else {
            fail("an unknown line");
        }
        printf("\n");
    }
    free(d);
}

static void records(void) {
    static char line[LINE];
    uint8_t bytes[512];
    while (fgets(line, sizeof line, stdin) != NULL) {
        const char *rest = after(line, "fitting");
        na_fault fault;
        if (rest != NULL) {
            neuroamp_fitting fitting;
            if (from_hex(rest, bytes, sizeof bytes) != NEUROAMP_FITTING_RECORD_BYTES) {
                fail("a fitting of another length");
            }
            printf("%d", na_check_fitting(bytes, &fault));
            printf(" %d %d", fault.field, fault.index);
            if (neuroamp_read_fitting(bytes, &fitting) == NEUROAMP_OK) {
                const float *values = fitting.thresholds_db_hl; /* and all that follow it */
                printf(" %d %u %08x", fitting.ear, na_record_program(bytes), na_record_crc(bytes));
                for (size_t i = 0; i < (sizeof fitting - 4) / 4; i++) {
                    float value;
                    memcpy(&value, (const char *)values + 4 * i, 4);
                    printf(" %.9g", (double)value);
                }
            }
        } else {
            neuroamp_calibration calibration;
            rest = after(line, "calibration");
            if (rest == NULL || from_hex(rest, bytes, sizeof bytes) !=
                                    NEUROAMP_CALIBRATION_RECORD_BYTES) {
                fail("a calibration of another length");
            }
            printf("%d", na_check_calibration(bytes, &fault));
            printf(" %d %d", fault.field, fault.index);
            if (neuroamp_read_calibration(bytes, &calibration) == NEUROAMP_OK) {
                printf(" %d %.9g %.9g %.9g", calibration.ear, (double)calibration.microphone_pa,
                       (double)calibration.receiver_per_pa, (double)calibration.ceiling_db_spl);
            }
        }
        printf("\n");
    }
}

static void sha256(void) {
    static char line[LINE];
    static uint8_t bytes[LINE / 2];
    uint8_t digest[NA_SHA256_BYTES];
    while (fgets(line, sizeof line, stdin) != NULL) {
        na_sha256(bytes, from_hex(line, bytes, sizeof bytes), digest);
        print_hex(digest, sizeof digest);
        printf("\n");
    }
}

static void streams(void) {
    static char line[LINE];
    static uint8_t bytes[LINE / 2];
    while (fgets(line, sizeof line, stdin) != NULL) {
        device_double *d = double_new(0);
        const size_t count = from_hex(line, bytes, sizeof bytes);
        neuroamp_link_receive(d->link, bytes, count);
        printf("%u %u\n", d->link->good_frames, d->link->dropped_frames);
        free(d);
    }
}

/* --- Power cuts. --- */

typedef struct contents {
    uint8_t fitting[2][NEUROAMP_FITTING_RECORD_BYTES];
    uint8_t calibration[2][NEUROAMP_CALIBRATION_RECORD_BYTES];
    int has_fitting[2], has_calibration[2];
    unsigned model_slot;
} contents;

static contents contents_of(const neuroamp_flash *driver) {
    contents found;
    neuroamp_settings settings;
    memset(&found, 0, sizeof found);
    neuroamp_settings_open(&settings, driver);
    for (int i = 0; i < 2; i++) {
        const neuroamp_ear ear = i == 0 ? NEUROAMP_LEFT : NEUROAMP_RIGHT;
        found.has_fitting[i] = neuroamp_settings_fitting(&settings, ear, found.fitting[i]);
        found.has_calibration[i] =
            neuroamp_settings_calibration(&settings, ear, found.calibration[i]);
        if (!found.has_fitting[i]) memset(found.fitting[i], 0, sizeof found.fitting[i]);
        if (!found.has_calibration[i]) memset(found.calibration[i], 0, sizeof found.calibration[i]);
    }
    found.model_slot = neuroamp_settings_model_slot(&settings);
    return found;
}

/* Two fittings of the left ear, two of the right, two calibrations of the left ear. */
static uint8_t given[6][NEUROAMP_FITTING_RECORD_BYTES];

/* Write number `kind`, of new contents. */
static int write_settings(neuroamp_settings *settings, int kind) {
    switch (kind) {
    case 0: return neuroamp_settings_store_fittings(settings, given[1], NULL);
    case 1: return neuroamp_settings_store_fittings(settings, NULL, given[3]);
    case 2: return neuroamp_settings_store_fittings(settings, given[1], given[3]);
    case 3: return neuroamp_settings_store_calibration(settings, NEUROAMP_LEFT, given[5]);
    case 4: return neuroamp_settings_store_model_slot(settings, 1);
    case 5: return neuroamp_settings_forget(settings, NEUROAMP_FITTINGS);
    default: return neuroamp_settings_forget(settings, NEUROAMP_CALIBRATION);
    }
}

/* Every kind of write after every kind of history, cut after every byte that it erases or programs. */
static void cuts(const char *path) {
    static char line[LINE];
    FILE *file = fopen(path, "r");
    if (file == NULL) fail("cannot open the records");
    for (int i = 0; i < 6 && fgets(line, sizeof line, file) != NULL; i++) {
        from_hex(line, given[i], sizeof given[i]);
    }
    fclose(file);
    unsigned long tried = 0, old = 0, new = 0;
    device_double *d = double_new(0);
    for (int history = 0; history < 4; history++) {
        for (int kind = 0; kind < 7; kind++) {
            for (long cut = 0;; cut++) {
                neuroamp_settings settings;
                flash_format(&d->flash);
                d->flash.noise = (unsigned)(cut + 7919 * kind);
                /* history 0: nothing stored; 1: once; 2: twice, so that the older slot is in use;
                 * 3: as 2, and a write before this one was cut, too */
                for (int i = 0; i < (history < 2 ? history : 2); i++) {
                    neuroamp_settings_open(&settings, &d->driver);
                    if (!neuroamp_settings_store_fittings(&settings, given[0], given[2]) ||
                        !neuroamp_settings_store_calibration(&settings, NEUROAMP_LEFT, given[4])) {
                        fail("settings cannot be stored");
                    }
                }
                if (history == 3) {
                    d->flash.budget = cut;
                    neuroamp_settings_open(&settings, &d->driver);
                    write_settings(&settings, kind == 0 ? 1 : 0);
                    d->flash.budget = -1;
                }
                const contents before = contents_of(&d->driver);
                d->flash.spent = 0;
                neuroamp_settings_open(&settings, &d->driver);
                d->flash.budget = cut;
                const int says_done = write_settings(&settings, kind);
                d->flash.budget = -1; /* the power comes back */
                const contents found = contents_of(&d->driver);
                const int is_old = memcmp(&found, &before, sizeof found) == 0;
                neuroamp_settings_open(&settings, &d->driver);
                if (!is_old || says_done) {
                    /* What a write without a cut makes of the same. */
                    if (!write_settings(&settings, kind)) fail("a write fails without a cut");
                    const contents wanted = contents_of(&d->driver);
                    if (memcmp(&found, &wanted, sizeof found) != 0) {
                        fail("a power cut left neither the old settings nor the new ones");
                    }
                    new++;
                } else {
                    old++;
                    if (!write_settings(&settings, kind)) fail("no write succeeds after a cut");
                }
                tried++;
                if (says_done) break;
            }
        }
    }
    printf("%lu power cuts: %lu left the old settings, %lu the new ones, 0 anything else\n", tried,
           old, new);
    free(d);
}

/* --- Mutated frames. --- */

static uint8_t (*frames)[PIECE_BYTES];
static size_t *frame_bytes;
static unsigned frame_count;

static void read_frames(const char *path) {
    static char line[LINE];
    FILE *file = fopen(path, "r");
    if (file == NULL) fail("cannot open the frames");
    while (fgets(line, sizeof line, file) != NULL) {
        frames = realloc(frames, (frame_count + 1) * sizeof *frames);
        frame_bytes = realloc(frame_bytes, (frame_count + 1) * sizeof *frame_bytes);
        if (frames == NULL || frame_bytes == NULL) fail("out of memory");
        frame_bytes[frame_count] = from_hex(line, frames[frame_count], PIECE_BYTES);
        frame_count++;
    }
    fclose(file);
    if (frame_count == 0) fail("there are no frames");
}

static size_t mutate(uint8_t *piece) {
    const unsigned first = below(frame_count), second = below(frame_count);
    size_t bytes = frame_bytes[first];
    memcpy(piece, frames[first], bytes);
    if (below(8) == 0) { /* noise */
        bytes = 1 + below(200);
        for (size_t i = 0; i < bytes; i++) piece[i] = (uint8_t)draw();
    }
    for (unsigned change = 0; change <= below(4); change++) {
        const size_t at = below((unsigned)bytes);
        switch (below(8)) {
        case 0: piece[at] ^= (uint8_t)(1u << below(8)); break;
        case 1: piece[at] = (uint8_t)draw(); break;
        case 2: piece[at] = 0; break;
        case 3: /* lost */
            if (bytes > 1) memmove(piece + at, piece + at + 1, --bytes - at);
            break;
        case 4: /* twice */
            if (bytes < PIECE_BYTES / 2) {
                memmove(piece + at + 1, piece + at, bytes - at);
                bytes++;
            }
            break;
        case 5: { /* two change places */
            const size_t other = (at + 1) % bytes;
            const uint8_t kept = piece[at];
            piece[at] = piece[other];
            piece[other] = kept;
            break;
        }
        case 6: bytes = at + 1; break; /* the cable is pulled */
        default: { /* another frame begins in the middle */
            const size_t count = frame_bytes[second];
            if (at + count < PIECE_BYTES / 2) {
                memcpy(piece + at, frames[second], count);
                bytes = at + count;
            }
        }
        }
    }
    return bytes;
}

static void write_pieces(long count) {
    uint8_t piece[PIECE_BYTES];
    for (long i = 0; i < count; i++) {
        const size_t bytes = mutate(piece);
        const uint8_t length[2] = {(uint8_t)bytes, (uint8_t)(bytes >> 8)};
        fwrite(length, 1, 2, stdout);
        fwrite(piece, 1, bytes, stdout);
    }
}

/* A device that is fitted and in a session, so that a whole frame could do harm. */
static void bear(void) {
    device_double *d = double_new(SLOT_BYTES);
    splitter s = {0};
    uint8_t length[2], piece[PIECE_BYTES];
    unsigned long pieces = 0, harmless = 0;
    for (unsigned i = 0; i < frame_count; i++) {
        neuroamp_link_receive(d->link, frames[i], frame_bytes[i]);
    }
    while (fread(length, 1, 2, stdin) == 2) {
        const size_t bytes = (size_t)(length[0] | length[1] << 8);
        if (bytes > sizeof piece || fread(piece, 1, bytes, stdin) != bytes) fail("a torn corpus");
        const unsigned long effects = d->effects, whole = s.whole;
        const long spent = d->flash.spent;
        d->reply_bytes = 0;
        neuroamp_link_receive(d->link, piece, bytes);
        split(&s, piece, bytes);
        if (s.whole == whole) {
            if (d->effects != effects || d->flash.spent != spent || d->reply_bytes != 0) {
                fail("something that is no frame had an effect");
            }
            harmless++;
        }
        pieces++;
        if (pieces % 1000 == 0) check_settings(d);
    }
    check_settings(d);
    printf("%lu pieces: %lu without a whole request, 0 effects of them; %lu whole requests, %lu "
           "damaged frames\n",
           pieces, harmless, s.whole, s.broken);
    free(d);
}

int main(int count, char **arguments) {
    const char *command = count > 1 ? arguments[1] : "";
    if (strcmp(command, "talk") == 0 && count == 3) talk((uint32_t)atol(arguments[2]));
    else if (strcmp(command, "records") == 0) records();
    else if (strcmp(command, "sha256") == 0) sha256();
    else if (strcmp(command, "streams") == 0) streams();
    else if (strcmp(command, "cuts") == 0 && count == 3) cuts(arguments[2]);
    else if (strcmp(command, "mutate") == 0 && count == 5) {
        read_frames(arguments[2]);
        state = (uint64_t)atoll(arguments[3]) * 2 + 1;
        write_pieces(atol(arguments[4]));
    } else if (strcmp(command, "bear") == 0 && count == 3) {
        read_frames(arguments[2]);
        bear();
    } else fail("usage: see link_driver.c");
    return 0;
}
#endif
