"""Short words for preparing caches in tests, in this process with shared workers."""

from contextlib import contextmanager

from vgbench.data.prepare.build import Tolerance, prepare
from vgbench.data.prepare.options import Options
from vgbench.data.prepare.plan import Request, make_plan
from vgbench.data.prepare.worker import Pool

POOL = Pool(1)  # shared by the tests: starting a worker takes half a second
REQUEST = ("kind", "follow_links", "split", "budget", "licence", "resume")


@contextmanager
def pool_of_tests():
    """Ends the shared workers afterwards; they start when they are needed."""
    with POOL:
        yield


def plan_of(source, target, pool=POOL, **options):
    """Returns the plan; options of `Request` and of `Options` mixed, 32 pixels by default."""
    asked = {key: options.pop(key) for key in REQUEST if key in options}
    wanted = Options(**{"resolution": 32} | options)
    name = target.name.rpartition("_")[0]
    return make_plan(Request(name, source, target, wanted, **asked), pool, lambda *_: None)


def run(source, target, tolerance=None, pool=POOL, progress=lambda *_: None, **options):
    """Prepares and returns the result."""
    plan = plan_of(source, target, pool, **options)
    return prepare(plan, tolerance or Tolerance(), pool, progress)


def contents(folder):
    """Returns the bytes of every file whose content is fixed: all but the log with its times."""
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.name != "prepare.log"}
