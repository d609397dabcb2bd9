/* The model image that `neuroamp export --target` wrote. */
    .section .model, "a"
    .balign 64
    .global firmware_model
firmware_model:
    .incbin "model.nam"
