"""The laptop side of NeuroAMP: prescriptions, corpora, training, evaluation, fitting."""
