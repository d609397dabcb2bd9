"""The paper's listening test (IV-D): pairs of sounds, heard through a simulated hearing loss.

`material` makes the sounds, `session` deals them to a listener who knows nothing of them, `server`
shows the page, `results` counts the answers.
"""
