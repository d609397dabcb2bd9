/* The fitting link's device: what a message may ask of the aid, and what it is told. */
#ifndef SERVICE_H
#define SERVICE_H

#include "neuroamp/aid.h"
#include "neuroamp/link.h"

#include <stddef.h>
#include <stdint.h>

/* The settings memory as the board has it, and what is stored in it. */
void service_open_settings(void);

/* The stored fitting of an ear, or the unfitted state; and its calibration, 0 if there is none. */
neuroamp_fitting service_stored_fitting(neuroamp_ear ear);
int service_stored_calibration(neuroamp_ear ear, neuroamp_calibration *calibration);

/* Begins to serve the aid of an ear. */
void service_start(neuroamp_aid *aid, neuroamp_ear ear);

/* From the main loop, ten times a second or more often: `count` bytes that have come. */
void service_run(const uint8_t *bytes, size_t count);

#endif
