"""What the paper printed: the numbers of its tables, beside which ours are put.

Ahmed et al., "NeuroAMP: A Novel End-to-end General Purpose Deep Neural Amplifier for Personalized
Hearing Aids", Tables I to VI.
"""

from __future__ import annotations

from collections.abc import Mapping

ARCHITECTURES = ("CNN", "LSTM", "CRNN", "Transformer")

PARAMETERS: Mapping[str, tuple[int, int]] = {
    "CNN": (498_411, 672_235),
    "LSTM": (498_224, 1_134_193),
    "CRNN": (496_408, 1_503_595),
    "Transformer": (499_884, 2_456_398),
}
"""Table I: basic and optimised."""

Cell = tuple[float, float, float]
"""LCC, SRCC, MSE."""

SPEECH_SETS = ("TIMIT", "TMHINT", "VCTK")
MUSIC_SETS = ("Cadenza", "MUSDB18-HQ")
CONDITIONS = ("clean", "enhanced (FCN)", "enhanced (LSTM)", "noisy")
"""Of speech, in the order of Table IV."""


def _rows(columns: tuple[str, ...], text: str) -> dict[tuple[str, str, str], Cell]:
    """Cells by metric, architecture and column of lines 'metric architecture LCC SRCC MSE ...'."""
    cells = {}
    for line in text.strip().splitlines():
        metric, architecture, *numbers = line.split()
        for index, column in enumerate(columns):
            lcc, srcc, mse = map(float, numbers[3 * index : 3 * index + 3])
            cells[metric, architecture, column] = (lcc, srcc, mse)
    return cells


BASIC = _rows(
    SPEECH_SETS,
    """
    HASPI CNN 0.9707 0.9846 0.0058 0.9863 0.9833 0.0021 0.9314 0.9705 0.0038
    HASPI LSTM 0.9816 0.9894 0.0037 0.9882 0.9855 0.0018 0.9447 0.9716 0.0031
    HASPI CRNN 0.9728 0.9788 0.0057 0.9785 0.9736 0.0041 0.9212 0.9437 0.0059
    HASPI Transformer 0.9814 0.9901 0.0036 0.9903 0.9902 0.0015 0.9548 0.9811 0.0023
    HASQI CNN 0.9943 0.9767 0.0013 0.9948 0.9770 0.0014 0.9894 0.9822 0.0020
    HASQI LSTM 0.9971 0.9869 0.0010 0.9954 0.9784 0.0014 0.9950 0.9924 0.0019
    HASQI CRNN 0.9902 0.9757 0.0084 0.9878 0.9671 0.0112 0.9851 0.9789 0.0154
    HASQI Transformer 0.9966 0.9858 0.0007 0.9957 0.9805 0.0010 0.9918 0.9874 0.0011
    """,
)
"""Table II."""

OPTIMISED = _rows(
    SPEECH_SETS,
    """
    HASPI CNN 0.9684 0.9822 0.0063 0.9821 0.9801 0.0028 0.9211 0.9619 0.0046
    HASPI LSTM 0.9822 0.9893 0.0036 0.9872 0.9834 0.0021 0.9435 0.9708 0.0031
    HASPI CRNN 0.9864 0.9923 0.0026 0.9892 0.9858 0.0016 0.9513 0.9779 0.0025
    HASPI Transformer 0.9864 0.9927 0.0027 0.9928 0.9923 0.0010 0.9493 0.9810 0.0026
    HASQI CNN 0.9941 0.9771 0.0017 0.9929 0.9755 0.0023 0.9870 0.9775 0.0035
    HASQI LSTM 0.9964 0.9847 0.0018 0.9958 0.9804 0.0023 0.9942 0.9912 0.0026
    HASQI CRNN 0.9971 0.9864 0.0011 0.9951 0.9794 0.0014 0.9946 0.9920 0.0021
    HASQI Transformer 0.9979 0.9905 0.0005 0.9965 0.9827 0.0007 0.9941 0.9914 0.0008
    """,
)
"""Table III."""

BY_CONDITION = _rows(
    CONDITIONS,
    """
    HASPI CNN 0.9280 0.9654 0.0012 0.8913 0.9209 0.0073 0.8932 0.9199 0.0071 0.9608 0.9781 0.0027
    HASPI LSTM 0.9457 0.9761 0.001 0.9285 0.9503 0.0045 0.9162 0.9381 0.0053 0.9754 0.9831 0.0016
    HASPI CRNN 0.9530 0.9819 0.0007 0.9315 0.9543 0.0043 0.9332 0.9543 0.0040 0.9811 0.9883 0.0010
    HASPI Transformer 0.9427 0.9876 0.0008 0.9465 0.9688 0.0033 0.9145 0.9504 0.0052 0.9781 0.9882 \
0.0012
    HASQI CNN 0.7654 0.3800 0.0088 0.9530 0.9533 0.0026 0.9645 0.9639 0.0006 0.9865 0.9856 0.0020
    HASQI LSTM 0.9164 0.7983 0.0074 0.9747 0.9791 0.0013 0.9774 0.9795 0.0004 0.994 0.9937 0.0014
    HASQI CRNN 0.9255 0.8421 0.0055 0.9715 0.9755 0.0011 0.9773 0.9795 0.0004 0.9941 0.9935 0.0012
    HASQI Transformer 0.9013 0.8062 0.0016 0.9729 0.9693 0.0006 0.9786 0.9781 0.0003 0.9927 0.9922 \
0.0007
    """,
)
"""Table IV, on VoiceBank."""

MUSIC = _rows(
    MUSIC_SETS,
    """
    HAAQI CNN 0.9479 0.9305 0.0052 0.9683 0.9674 0.0034
    HAAQI LSTM 0.9660 0.9553 0.0073 0.9840 0.9833 0.0031
    HAAQI CRNN 0.9682 0.9608 0.0051 0.9820 0.9821 0.0024
    HAAQI Transformer 0.9762 0.9738 0.0028 0.9888 0.9892 0.0023
    """,
)
"""Table V."""

DENOISING: Mapping[str, tuple[float, float]] = {
    "NAL-R+WDRC": (0.89, 0.55),
    "LSTM enhancer, then NAL-R+WDRC": (0.85, 0.30),
    "Denoising NeuroAMP": (0.90, 0.59),
}
"""Table VI: HASPI and HASQI on the noisy VoiceBank+DEMAND test set."""
