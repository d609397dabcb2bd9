/* NeuroAMP aid: a whole hearing aid of one or two ears around the chains of neuroamp.h.
 *
 *     full scale -> [calibration] -> pascals -> chain (volume, limiter last) -> fade
 *                -> [calibration] -> full scale
 *
 * Two sides use it at the same time without a lock and without waiting for each other: the audio
 * side (a sound card's callback, an interrupt) calls the functions under "Audio side", the control
 * side (one thread or the main loop) those under "Control side". What the control side asks for
 * takes effect at the next hop; a mute takes effect at the next call.
 *
 * What holds whatever the control side asks for, and whatever sound comes in:
 * - No output sample is above the lowest of the fitting's maximum power output, the device's
 *   ceiling and what the converter can hold.
 * - An ear without calibration has a low, fixed ceiling: NEUROAMP_UNCALIBRATED_CEILING_DB_SPL on a
 *   receiver assumed to be as loud as receivers get.
 * - Sound begins as a fade from silence: at the start, after a restart, a mute, or a calibration.
 * - Another fitting is cross-faded; its limit holds at once.
 * - A hop that took too long leaves the net out for a while: the gains fade to the fitting's own.
 *
 * All memory is the caller's; nothing here allocates, and nothing is kept outside of that memory.
 */
#ifndef NEUROAMP_AID_H
#define NEUROAMP_AID_H

#include "neuroamp/neuroamp.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NEUROAMP_VOLUME_MIN_DB (-40.0f)
#define NEUROAMP_VOLUME_MAX_DB 10.0f

/* Of a sine, on a receiver that gives 20 Pa RMS (120 dB SPL) for an RMS of full scale. */
#define NEUROAMP_UNCALIBRATED_CEILING_DB_SPL 85.0f
#define NEUROAMP_UNCALIBRATED_PA 20.0f

typedef struct neuroamp_aid neuroamp_aid;

/* One ear of the aid; `fitting` null: the aid has no such ear; `calibration` null: not known. */
typedef struct neuroamp_aid_ear {
    const neuroamp_fitting *fitting;
    const neuroamp_calibration *calibration;
} neuroamp_aid_ear;

typedef enum neuroamp_output {
    NEUROAMP_SOUNDING, /* fades in */
    NEUROAMP_MUTED,    /* fades out in 20 ms */
    NEUROAMP_PANIC     /* silent from the next sample on */
} neuroamp_output;

/* What one ear does now. */
typedef struct neuroamp_aid_report {
    float input_db_spl;               /* RMS over the last 125 ms (IEC 61672, fast) */
    float output_db_spl;              /* the same at the receiver */
    float output_peak_db_spl;         /* highest sample since the start, dB SPL of such a sine */
    float gain_db[NEUROAMP_CHANNELS]; /* insertion gain of the last step, volume apart */
    float gain_65_db[NEUROAMP_CHANNELS]; /* of the fitting that the chain holds, cross-fade included */
    float fade;                       /* 0: silent, 1: fully sounding */
    int32_t is_calibrated;
    int32_t is_net_paused;            /* left out because a hop was late */
    uint32_t fittings;                /* taken over since the start, the first apart */
    neuroamp_counts counts;
    uint64_t hops;                    /* processed */
    uint64_t late_hops;               /* that took longer than the deadline, or were told late */
} neuroamp_aid_report;

/* --- Before the sound starts, or while it stands still. --- */

/* Bytes of memory an aid of `ears` (1 or 2) ears needs; 0 if the model is refused. */
NEUROAMP_API size_t neuroamp_aid_size(const void *model, size_t model_bytes, unsigned ears);

/* Builds an aid at rest and silent in the caller's memory, aligned to NEUROAMP_ALIGNMENT, and
 * points `aid` at it. The model must outlive it; fittings and calibrations are copied. */
NEUROAMP_API neuroamp_status neuroamp_aid_init(void *memory, size_t memory_bytes,
                                               const void *model, size_t model_bytes,
                                               const neuroamp_aid_ear *left,
                                               const neuroamp_aid_ear *right, neuroamp_aid **aid);

/* The chain of an ear, to choose its kernel or its net; null if the aid has no such ear. */
NEUROAMP_API neuroamp *neuroamp_aid_chain(neuroamp_aid *aid, neuroamp_ear ear);

/* Times every hop and every stage by `clock`. A hop, both ears together, of more than `deadline`
 * ticks is late. */
NEUROAMP_API void neuroamp_aid_set_clock(neuroamp_aid *aid, neuroamp_clock clock, void *context,
                                         uint64_t deadline);

/* As neuroamp_use_whole_hops: the sound is late by one hop less, and every call of
 * neuroamp_aid_process has to bring whole hops. */
NEUROAMP_API void neuroamp_aid_use_whole_hops(neuroamp_aid *aid, int enabled);

/* Forgets what was heard, and fades in anew; everything that was set, and the counts, stay. */
NEUROAMP_API void neuroamp_aid_restart(neuroamp_aid *aid);

/* --- Audio side. --- */

/* The next `samples` of each ear, in full scales (-1 .. 1); any count. `out` may be `in`. The
 * pointers of an ear that the aid does not have are not used. */
NEUROAMP_API void neuroamp_aid_process(neuroamp_aid *aid, const float *left_in,
                                       const float *right_in, float *left_out, float *right_out,
                                       size_t samples);

/* The most that an ear puts out now, in full scales, for what comes after the aid to hold on to;
 * 0 for an ear that the aid does not have. */
NEUROAMP_API float neuroamp_aid_ceiling(const neuroamp_aid *aid, neuroamp_ear ear);

/* --- Either side. --- */

/* The sound was late for another reason than the net: the net is left out for a while. */
NEUROAMP_API void neuroamp_aid_tell_late(neuroamp_aid *aid);

/* Mutes, silences at once, or sounds again. */
NEUROAMP_API void neuroamp_aid_set_output(neuroamp_aid *aid, neuroamp_output output);

/* What was asked for last. */
NEUROAMP_API neuroamp_output neuroamp_aid_get_output(const neuroamp_aid *aid);

/* --- Control side. --- */

/* Cross-fades to another fitting within a tenth of a second; its limit holds at once. One that is
 * refused, or for an ear that the aid does not have, changes nothing. A trial is this, and later
 * the same with the fitting before: the caller keeps the time. */
NEUROAMP_API neuroamp_status neuroamp_aid_set_fitting(neuroamp_aid *aid,
                                                      const neuroamp_fitting *fitting);

/* The fitting that was set last; null if the aid has no such ear. */
NEUROAMP_API const neuroamp_fitting *neuroamp_aid_get_fitting(const neuroamp_aid *aid,
                                                              neuroamp_ear ear);

/* Another calibration of one ear, which fades in anew. */
NEUROAMP_API neuroamp_status neuroamp_aid_set_calibration(neuroamp_aid *aid,
                                                          const neuroamp_calibration *calibration);

/* From now on the ear counts as not calibrated; NEUROAMP_BAD_ARGUMENT if there is no such ear. */
NEUROAMP_API neuroamp_status neuroamp_aid_forget_calibration(neuroamp_aid *aid, neuroamp_ear ear);

/* The calibration in use, the assumed one where none is known; null if there is no such ear. */
NEUROAMP_API const neuroamp_calibration *neuroamp_aid_get_calibration(const neuroamp_aid *aid,
                                                                      neuroamp_ear ear);

/* Volume in dB before the limiter, clamped to its range; NEUROAMP_BAD_ARGUMENT for NaN or an ear
 * that the aid does not have. */
NEUROAMP_API neuroamp_status neuroamp_aid_set_volume(neuroamp_aid *aid, neuroamp_ear ear,
                                                     float volume_db);

/* Volume in dB; 0 for an ear that the aid does not have. */
NEUROAMP_API float neuroamp_aid_get_volume(const neuroamp_aid *aid, neuroamp_ear ear);

/* Strength of the noise reduction, 0 .. 1, in place of the fitting's until the next fitting. */
NEUROAMP_API neuroamp_status neuroamp_aid_set_noise_reduction(neuroamp_aid *aid, neuroamp_ear ear,
                                                              float strength);

/* The three below copy while the audio side goes on. They return 1, or 0 if it wrote in between
 * (ask again) or there is no such ear or stage. */
NEUROAMP_API int neuroamp_aid_read(const neuroamp_aid *aid, neuroamp_ear ear,
                                   neuroamp_aid_report *report);
NEUROAMP_API int neuroamp_aid_read_times(const neuroamp_aid *aid, neuroamp_ear ear,
                                         neuroamp_stage stage, neuroamp_times *times);
NEUROAMP_API int neuroamp_aid_read_gain_db(const neuroamp_aid *aid, neuroamp_ear ear,
                                           float *gain_db);

#ifdef __cplusplus
}
#endif

#endif
