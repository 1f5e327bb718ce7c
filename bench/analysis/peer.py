"""The peer of the analysis' speed: the same objective minimised by SciPy.

Besiroglu et al. (2024) and the code that follows them: the Huber loss (delta 1e-3) of
ln L - logsumexp(a - alpha ln N, b - beta ln D, e), summed over the rows, minimised from a
grid of 4500 starts. Three settings:

  "usual"   L-BFGS-B at SciPy's own tolerances, in the raw parameters: what the field
            runs. It stops early.
  "tight"   L-BFGS-B down to a gradient of 1e-9, ln N and ln D centred
  "slsqp"   SLSQP to the last digit, centred: quicker where the start is near

All get the analytical gradient, in NumPy without a Python loop over rows; published code
takes it by automatic or numerical differentiation and is slower.
"""
import itertools
import time

import numpy
from scipy.optimize import minimize

DELTA = 1e-3
SETTINGS = {
    "usual": dict(method="L-BFGS-B"),
    "tight": dict(method="L-BFGS-B", options=dict(ftol=0, gtol=1e-9, maxiter=15000, maxfun=100000)),
    "slsqp": dict(method="SLSQP", options=dict(ftol=1e-18, maxiter=3000)),
}


class Objective:
    """f and its gradient at theta = (a, b, e, alpha, beta), `weights` one a row."""

    def __init__(self, rows, setting, weights=None):
        params, tokens, loss = rows
        used = slice(None) if weights is None else weights > 0
        self.setting = SETTINGS[setting]
        self.n, self.d, self.ln_loss = numpy.log(params)[used], numpy.log(tokens)[used], numpy.log(loss)[used]
        self.w = numpy.ones_like(self.n) if weights is None else weights[used]
        self.n0, self.d0 = (0, 0) if setting == "usual" else (self.n.mean(), self.d.mean())
        self.n, self.d = self.n - self.n0, self.d - self.d0

    def __call__(self, theta):
        a, b, e, alpha, beta = theta
        u = numpy.stack([a - alpha * self.n, b - beta * self.d, numpy.full_like(self.n, e)])
        top = u.max(axis=0)
        p = numpy.exp(u - top)
        total = p.sum(axis=0)
        p /= total
        r = self.ln_loss - top - numpy.log(total)
        psi = numpy.clip(r, -DELTA, DELTA)
        f = (self.w * psi * (r - psi / 2)).sum()
        q = self.w * psi
        return f, -numpy.array([q @ p[0], q @ p[1], q @ p[2], -(q * p[0]) @ self.n, -(q * p[1]) @ self.d])

    def minimum_from(self, raw_start):
        """The f that is reached from `raw_start`; infinite where the search ends nowhere."""
        shift = numpy.array([raw_start[3] * self.n0, raw_start[4] * self.d0, 0, 0, 0])
        with numpy.errstate(all="ignore"):  # line searches try points far out
            f = minimize(self, raw_start - shift, jac=True, **self.setting).fun
        return f if numpy.isfinite(f) else numpy.inf


class Watch:
    """Wall and CPU seconds since it was made, times `scale`."""

    def __init__(self):
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def read(self, scale=1.0):
        return {"seconds": (time.perf_counter() - self.wall) * scale,
                "cpu_seconds": (time.process_time() - self.cpu) * scale}


def grid_starts():
    """The 4500 of Besiroglu et al. (2024), as (a, b, e, alpha, beta)."""
    logs, constants, exponents = range(0, 30, 5), (-1, -.5, 0, .5, 1), (0, .5, 1, 1.5, 2)
    return numpy.array(list(itertools.product(logs, logs, constants, exponents, exponents)), float)


def from_grid(rows, setting, count):
    """From `count` of the 4500 starts, drawn by seed 1: the time of all 4500 (scaled), the
    best f and the share of starts that ended within 1e-6 of it."""
    starts = grid_starts()
    chosen = numpy.random.RandomState(1).permutation(len(starts))[:count]
    objective = Objective(rows, setting)
    watch = Watch()
    f = numpy.array([objective.minimum_from(starts[i]) for i in chosen])
    return watch.read(len(starts) / count) | {"f": f.min(), "reached_best": (f <= f.min() * (1 + 1e-6)).mean()}


def descent(rows, setting, start, times=21):
    objective = Objective(rows, setting)
    watch = Watch()
    for _ in range(times):
        f = objective.minimum_from(start)
    return watch.read(1 / times) | {"f": f}


def refits(rows, setting, start, draws, count):
    """From the optimum of all rows, on the first `count` draws of RandomState(42): the time
    of `draws` (scaled) and f of each."""
    generator, m = numpy.random.RandomState(42), len(rows[0])
    watch, f = Watch(), []
    for _ in range(count):
        weights = numpy.bincount(generator.choice(m, m), minlength=m).astype(float)
        f.append(Objective(rows, setting, weights).minimum_from(start))
    return watch.read(draws / count) | {"f_of_draws": f}
