"""How long it takes from `import neuroamp` to the first processed frame, and what that loads.

    python tools/first_frame.py [MODEL]      (default: the released model 'wear')

To be run by the Python of an environment that holds the package and nothing more: it fails if torch
or anything else of the trainer was loaded.
"""

import sys
import time

start = time.perf_counter()
import neuroamp  # noqa: E402
from neuroamp.audiogram import Ear  # noqa: E402
from neuroamp.chain import EarChain  # noqa: E402
from neuroamp.engines import ENGINES, open_engine  # noqa: E402
from neuroamp.engines.native import NativeChain  # noqa: E402
from neuroamp.fitting import Fitting  # noqa: E402
from neuroamp.released import DEFAULT_MODEL, find_model  # noqa: E402

imported = time.perf_counter()
fitting = Fitting(Ear.LEFT, (40.0,) * 6, "first frame", (15.0,) * 11, (1.5,) * 11)
engine = "native" if ENGINES["native"].is_installed() else "tflite"
model = find_model(sys.argv[1] if len(sys.argv) > 1 else DEFAULT_MODEL, engine)
if engine == "native":
    chain = NativeChain(model, fitting)
else:
    net = open_engine(model)
    chain = EarChain(net.info.profile, fitting, net)
made = time.perf_counter()
chain.process([0.01] * chain.profile.hop)
done = time.perf_counter()

heavy = {"torch", "scipy", "onnx", "onnxruntime", "matplotlib", "neuroamp_host"} & set(sys.modules)
assert chain.stats.steps == 1, "the first frame did not step the net"
assert not heavy, f"{sorted(heavy)} came with the first frame"
print(
    f"neuroamp {neuroamp.__version__}, engine {engine}, {model.name}: import "
    f"{1e3 * (imported - start):.0f} ms, model and chain {1e3 * (made - imported):.0f} ms, first "
    f"frame {1e3 * (done - made):.2f} ms; together {1e3 * (done - start):.0f} ms"
)
