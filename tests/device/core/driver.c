/* Runs the core as a program, for sanitizers, for other processors and for long runs.
 *
 *     driver process MODEL KERNEL BLOCK         pascals as float32, standard input to output
 *     driver net MODEL KERNEL STEPS             checksum of the net's outputs, integer path only
 *     driver adversarial MODEL FRAMES SEED      hostile input; fails if a sample is too loud
 *     driver fuzz MODEL ROUNDS SEED             damaged model files
 *
 * Built with -DWITH_LIBFUZZER the same mutations are libFuzzer's. */
#include "hostile.h"

enum { MAX_FEATURES = 4096 };

static neuroamp *start(const uint8_t *model, size_t bytes, const char *kernel) {
    const neuroamp_fitting fitting = moderate();
    const size_t size = neuroamp_size(model, bytes);
    neuroamp *chain = NULL;
    const neuroamp_status status = size == 0
                                       ? neuroamp_check_model(model, bytes, NULL)
                                       : neuroamp_init(aligned(size), size, model, bytes,
                                                       NEUROAMP_LEFT, &fitting, &chain);
    if (status != NEUROAMP_OK) fail(neuroamp_status_text(status));
    if (kernel != NULL && neuroamp_use_kernel(chain, (neuroamp_kernel)atoi(kernel)) != NEUROAMP_OK) {
        fail("this processor does not have that kernel");
    }
    return chain;
}

static int process(neuroamp *chain, size_t block) {
    float *samples = aligned(block * sizeof(float));
    size_t count;
    while ((count = fread(samples, sizeof(float), block, stdin)) > 0) {
        neuroamp_process(chain, samples, samples, count);
        fwrite(samples, sizeof(float), count, stdout);
    }
    free(samples);
    return 0;
}

static uint64_t checksum(uint64_t sum, const void *data, size_t bytes) { /* FNV-1a */
    const uint8_t *byte = data;
    for (size_t i = 0; i < bytes; i++) sum = (sum ^ byte[i]) * UINT64_C(1099511628211);
    return sum;
}

static int net(neuroamp *chain, const neuroamp_info *info, long steps) {
    static float values[MAX_FEATURES];
    uint64_t sum = UINT64_C(14695981039346656037);
    for (long step = 0; step < steps; step++) {
        for (size_t i = 0; i < info->features; i++) {
            /* Whole numbers of the net's resolution: exact in float32 everywhere. */
            values[i] = (float)((int)below(32768) - 16384) / 8192.0f;
        }
        neuroamp_step_net(chain, values, values);
        sum = checksum(sum, values, info->features * sizeof(float));
    }
    printf("%016llx\n", (unsigned long long)sum);
    return 0;
}

static int adversarial(neuroamp *chain, const neuroamp_info *info, long frames) {
    float *samples = aligned(info->hop * sizeof(float));
    double ceiling = sqrt(2.0) * 20e-6 * pow(10.0, 110.0 / 20.0);
    double worst = 0.0;
    uint64_t sum = UINT64_C(14695981039346656037);
    for (long frame = 0; frame < frames; frame++) {
        if (below(64) == 0) {
            const neuroamp_fitting fitting = extreme();
            if (neuroamp_set_fitting(chain, &fitting) == NEUROAMP_OK) {
                ceiling = sqrt(2.0) * 20e-6 * pow(10.0, (double)fitting.mpo_db_spl / 20.0);
            }
        }
        if (below(32) == 0) neuroamp_enable_net(chain, (int)below(2));
        hostile(samples, info->hop);
        neuroamp_process(chain, samples, samples, info->hop);
        for (size_t i = 0; i < info->hop; i++) {
            if (!(fabs((double)samples[i]) <= ceiling)) fail("a sample is above the ceiling");
            worst = fmax(worst, fabs((double)samples[i]) / ceiling);
        }
        sum = checksum(sum, samples, info->hop * sizeof(float));
    }
    printf("%ld frames, loudest sample %.6f of the ceiling, checksum %016llx\n", frames, worst,
           (unsigned long long)sum);
    free(samples);
    return 0;
}

static void repair_crc(uint8_t *data, size_t bytes) {
    static uint32_t table[256];
    uint32_t size, crc = 0xffffffffu;
    memcpy(&size, data + 12, 4);
    if (size > bytes || size < 64) return;
    for (uint32_t i = 0; i < 256; i++) {
        table[i] = i;
        for (int bit = 0; bit < 8; bit++) {
            table[i] = table[i] >> 1 ^ (table[i] & 1 ? 0xedb88320u : 0);
        }
    }
    for (size_t i = 20; i < size; i++) crc = crc >> 8 ^ table[(crc ^ data[i]) & 255];
    crc = ~crc;
    memcpy(data + 16, &crc, 4);
}

/* Loads the bytes as a model, with the CRC made right, and runs it if it is accepted. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    /* malloc aligns to 16, and the sanitizer sees any byte read beyond the end. */
    uint8_t *copy = malloc(bytes + (bytes == 0));
    if (copy == NULL) fail("out of memory");
    memcpy(copy, data, bytes);
    if (bytes >= 64) repair_crc(copy, bytes);
    neuroamp_info info;
    if (neuroamp_check_model(copy, bytes, &info) == NEUROAMP_OK) {
        const neuroamp_fitting fitting = moderate();
        const size_t size = neuroamp_size(copy, bytes);
        void *memory = aligned(size);
        neuroamp *chain = NULL;
        if (neuroamp_init(memory, size, copy, bytes, NEUROAMP_LEFT, &fitting, &chain) !=
            NEUROAMP_OK) {
            abort(); /* what was checked must start */
        }
        float *samples = aligned(info.hop * sizeof(float));
        for (int frame = 0; frame < 4; frame++) {
            for (size_t i = 0; i < info.hop; i++) samples[i] = uniform(-1.0f, 1.0f);
            neuroamp_process(chain, samples, samples, info.hop);
            for (size_t i = 0; i < info.hop; i++) {
                if (!(fabsf(samples[i]) <= 8.9443f)) abort(); /* 110 dB SPL, peak */
            }
        }
        free(samples);
        free(memory);
    }
    free(copy);
    return 0;
}

#if !defined(WITH_LIBFUZZER)

/* Every section at the places where a bound is easily forgotten. */
static void misplace_sections(const uint8_t *model, size_t bytes, uint8_t *copy) {
    const uint32_t end = (uint32_t)bytes;
    const uint32_t offsets[] = {end - 16, end, end + 16, 0x7ffffff0, 0xfffffff0, 8, 0};
    const uint32_t lengths[] = {0, 1, end, 0x7fffffff, 0xffffffff};
    uint32_t sections;
    memcpy(&sections, model + 20, 4);
    for (size_t i = 0; i < sections; i++) {
        uint8_t *entry = copy + 64 + 12 * i;
        for (size_t k = 0; k < sizeof offsets / sizeof *offsets; k++) {
            memcpy(copy, model, bytes);
            memcpy(entry + 4, offsets + k, 4);
            LLVMFuzzerTestOneInput(copy, bytes);
        }
        for (size_t k = 0; k < sizeof lengths / sizeof *lengths; k++) {
            memcpy(copy, model, bytes);
            memcpy(entry + 8, lengths + k, 4);
            LLVMFuzzerTestOneInput(copy, bytes);
        }
    }
}

static int fuzz(const uint8_t *model, size_t bytes, long rounds) {
    static const uint32_t edges[] = {0,          1,          0x7f,       0xff,       0x7fff,
                                     0x8000,     0xffff,     0x7fffffff, 0x80000000, 0xffffffff,
                                     0x7fc00000, 0x7f800000, 0x3f800000, 16,         64};
    uint8_t *copy = aligned(bytes);
    misplace_sections(model, bytes, copy);
    for (long round = 0; round < rounds; round++) {
        memcpy(copy, model, bytes);
        size_t length = bytes;
        for (unsigned change = 0; change <= below(4); change++) {
            /* The header, section table and small tables matter most: they come first. */
            const unsigned reach = below(3) == 0 ? (unsigned)bytes : 2048;
            const size_t at = below(reach < bytes ? reach : (unsigned)bytes) & ~(size_t)3;
            if (at + 4 > bytes) continue;
            uint32_t value;
            memcpy(&value, copy + at, 4);
            switch (below(4)) {
            case 0: value = edges[below(sizeof edges / sizeof *edges)]; break;
            case 1: value ^= 1u << below(32); break;
            case 2: value += (uint32_t)below(33) - 16; break;
            default: value = (uint32_t)(draw() >> 32); break;
            }
            memcpy(copy + at, &value, 4);
        }
        if (below(16) == 0) length = below((unsigned)bytes);
        LLVMFuzzerTestOneInput(copy, length);
    }
    free(copy);
    printf("%ld damaged files\n", rounds);
    return 0;
}

int main(int count, char **arguments) {
    if (count < 5) fail("usage: driver process|net|adversarial|fuzz MODEL ...; see driver.c");
    const char *command = arguments[1];
    size_t bytes;
    uint8_t *model = read_file(arguments[2], &bytes);
    neuroamp_info info;
    neuroamp_check_model(model, bytes, &info);
    if (strcmp(command, "process") == 0) {
        return process(start(model, bytes, arguments[3]), (size_t)atol(arguments[4]));
    }
    if (strcmp(command, "net") == 0) {
        return net(start(model, bytes, arguments[3]), &info, atol(arguments[4]));
    }
    state = (uint64_t)atol(arguments[4]) * 2 + 1;
    if (strcmp(command, "adversarial") == 0) {
        return adversarial(start(model, bytes, NULL), &info, atol(arguments[3]));
    }
    if (strcmp(command, "fuzz") == 0) {
        return fuzz(model, bytes, atol(arguments[3]));
    }
    fail("there is no such command; see driver.c");
    return 1;
}

#endif
