"""Tails of the laws in src/stats, to 50 digits, by routes other than the library's. Writes stats.json beside this file.

Run: python3 tests/it/golden/stats.py   (mpmath 1.3.0, about one minute)
"""

import json
import pathlib

import mpmath as mp

mp.mp.dps = 50
Z = [-4.7, -3, -0.9, 0.1, 1.3, 3, 7, 20, 70, 214]


def log10_p(tail, complement=None):
    """log10 of a tail, through its complement where that is the smaller."""
    value = mp.log1p(-complement) if complement is not None else mp.log(tail)
    return float(value / mp.log(10))


def point(log10, **arguments):
    return {**arguments, "log10_p": log10}


def outward(start, ratio):
    """start (1 + r(0) + r(0) r(1) + ...) until the terms stop counting."""
    total, term, i = mp.mpf(0), mp.mpf(start), 0
    while term > total * mp.mpf(10) ** -45 and term > 0:
        total += term
        term *= ratio(i)
        i += 1
    return total


def binomial_point(k, n, p):
    exact_p = mp.mpf(p)
    q = 1 - exact_p

    def mass(i):
        choose = mp.loggamma(n + 1) - mp.loggamma(i + 1) - mp.loggamma(n - i + 1)
        return mp.exp(choose + i * mp.log(exact_p) + (n - i) * mp.log(q))

    if k > n * exact_p:
        tail = outward(mass(k), lambda i: (n - k - i) * exact_p / ((k + i + 1) * q))
        return point(log10_p(tail), k=k, n=n, p=p)
    below = outward(mass(k - 1), lambda i: (k - 1 - i) * q / ((n - k + 2 + i) * exact_p))
    return point(log10_p(None, below), k=k, n=n, p=p)


def binomial():
    quarter, odd, even, tiny = 2**30 / 2**32, 1073741821 / 2**32, 2718281829 / 2**32, 3 / 2**32
    for n in [1, 3, 17, 200, 5000, 100_000, 10_000_000]:
        for p in [quarter, 0.5, odd, even, tiny, 1e-300]:
            ks = {round(n * p + z * float(mp.sqrt(n * p * (1 - p)))) for z in Z} | {1, n}
            for k in sorted(k for k in ks if 1 <= k <= n):
                yield binomial_point(k, n, p)


def hypergeometric():
    for population, successes, draws in [(10, 4, 3), (1000, 250, 400), (128_256, 32_064, 9000), (10**7, 2_500_000, 100_000), (10**6, 10, 500_000)]:
        mean = draws * successes / population
        sd = (mean * (1 - successes / population) * (population - draws) / (population - 1)) ** 0.5
        low, high = max(0, draws + successes - population), min(draws, successes)
        for k in sorted({round(mean + z * sd) for z in Z} | {low + 1, high}):
            if not low < k <= high:
                continue
            lb = lambda n, r: mp.loggamma(n + 1) - mp.loggamma(r + 1) - mp.loggamma(n - r + 1)
            mass = lambda i: mp.exp(lb(successes, i) + lb(population - successes, draws - i) - lb(population, draws))
            up = lambda i: mp.mpf((successes - i) * (draws - i)) / ((i + 1) * (population - successes - draws + i + 1))
            if k > mean:
                log10 = log10_p(outward(mass(k), lambda j: up(k + j)))
            else:
                log10 = log10_p(None, outward(mass(k - 1), lambda j: 1 / up(k - 2 - j) if k - 2 - j >= low else 0))
            yield point(log10, k=k, population=population, successes=successes, draws=draws)


def gamma_tail(a, x):
    """(Q, P), one of them None: the other is the smaller. By hypergeometric series for small shapes, else by quadrature."""
    a, x = mp.mpf(a), mp.mpf(x)
    if a <= 12:
        q = mp.gammainc(a, x, mp.inf, regularized=True)
        return (q, None) if q < 0.5 else (None, mp.gammainc(a, 0, x, regularized=True))
    if x < a:
        # x^a e^-x / Gamma(a+1) * 1F1(1; a+1; x)
        return None, outward(mp.exp(a * mp.log(x) - x - mp.loggamma(a + 1)), lambda i: x / (a + 1 + i))
    # x^(a-1) e^-x / Gamma(a) * integral of (1 + u/x)^(a-1) e^-u du
    scale = 1 / max(1 - (a - 1) / x, 1 / mp.sqrt(a + 1))
    edges = [0] + [scale * 2**j for j in range(-3, 9)]
    integral = mp.quad(lambda u: mp.exp((a - 1) * mp.log1p(u / x) - u), edges)
    return mp.exp((a - 1) * mp.log(x) - x - mp.loggamma(a)) * integral, None


def gamma():
    for shape in [1e-6, 0.01, 0.5, 1.0, 1.7, 12.0, 200.0, 1000.5, 10_000.0, 1_000_000.0]:
        xs = [shape + z * shape**0.5 for z in Z] + [shape * 1e-3, 1e-3, 0.7, 5.0, 23_100.0 if shape < 1000 else 2 * shape]
        for x in sorted(x for x in xs if x > 0):
            q, p = gamma_tail(shape, x)
            yield point(log10_p(q, p), x=x, shape=shape)


def two_gamma_partial_fractions(x, n, small, large):
    """Residues at 1/small and 1/large: alternating sums, so with very many digits. Terms relative to the tail may be huge."""
    with mp.workdps(60 + 4 * n):
        small, large, x = mp.mpf(small), mp.mpf(large), mp.mpf(x)
        total = mp.mpf(0)
        for own, other in ((small, large), (large, small)):
            # Coefficient of (1 - own t)^-j in ((1 - own t)(1 - other t))^-n.
            poisson, term = mp.mpf(0), mp.exp(-x / own)
            coefficient = mp.mpf(1) / ((1 - other / own) ** n)
            coefficients = []
            for i in range(n):
                coefficients.append(coefficient)
                coefficient *= mp.mpf(-(n + i)) / (i + 1) * (other / own) / (1 - other / own)
            for j in range(1, n + 1):
                poisson += term
                term *= x / own / j
                total += coefficients[n - j] * poisson
        return +total


def two_gamma_contour(x, n, small, large):
    """Trapezoid rule on the vertical line through the saddle point (upper tail if positive, else minus the lower)."""
    small, large, x = mp.mpf(small), mp.mpf(large), mp.mpf(x)
    mean = lambda t: n * small / (1 - small * t) + n * large / (1 - large * t)
    low, high = mp.mpf(-10) / small, 1 / large
    for _ in range(120):
        middle = (low + high) / 2
        low, high = (middle, high) if mean(middle) < x else (low, middle)
    sd = mp.sqrt(n * (small / (1 - small * low)) ** 2 + n * (large / (1 - large * low)) ** 2)
    if abs(low) < 2 / sd:
        low = mp.sign(low) * 2 / sd
    log_f = lambda z: -n * mp.log(1 - small * z) - n * mp.log(1 - large * z) - z * x
    step, total, i = 1 / (sd * 24), mp.mpf(0), 0
    while True:
        z = mp.mpc(low, i * step)
        term = mp.exp(log_f(z)) / z
        total += term.real * (1 if i else mp.mpf(0.5))
        if abs(term) < abs(total) * mp.mpf(10) ** -30:
            return total * step / mp.pi
        i += 1


def two_gamma():
    for n in [1, 2, 10, 60, 300, 1000, 10_000]:
        for alpha in [0.1, 0.25, 0.3, 0.5, 0.7]:
            small, large = sorted((mp.mpf(alpha), 1 - mp.mpf(alpha)))
            sd = float(mp.sqrt(n * (small**2 + large**2)))
            for z in [*Z, 450]:
                x = n + z * sd
                if x <= 0 or (n == 1000 and z == 70 and alpha == 0.1):
                    continue
                if alpha == 0.5:
                    q, p = gamma_tail(2 * n, 2 * mp.mpf(x))
                elif n <= 60:
                    q = two_gamma_partial_fractions(x, n, small, large)
                    q, p = q, None
                else:
                    value = two_gamma_contour(x, n, small, large)
                    q, p = (value, None) if value > 0 else (None, -value)
                yield point(log10_p(q, p), x=x, n=n, alpha=alpha)


def linear(m):
    return [10 * (m - 1) - 9 * layer for layer in range(m)]


def bits_by_counting(weights, n, points):
    """Big-integer counts of all outcomes, packed into one integer with a slot a lattice point."""
    slot = n * len(weights) + 8
    packed = 1
    for w in weights:
        for _ in range(n):
            packed += packed << (w * slot)
    whole = mp.mpf(2) ** (n * len(weights))
    mask = (1 << slot) - 1
    top = n * sum(weights)
    width = slot * (top + 1)
    raw = packed.to_bytes((width + 7) // 8 + 8, "little")

    def count(v):
        start = v * slot
        piece = int.from_bytes(raw[start // 8 : (start + slot) // 8 + 1], "little")
        return (piece >> (start % 8)) & mask

    suffix, tails = 0, {}
    for v in range(top, -1, -1):
        suffix += count(v)
        if v in points:
            tails[v] = suffix
    for s in sorted(points):
        below = 2 ** (n * len(weights)) - tails[s]
        yield s, log10_p(tails[s] / whole) if tails[s] < below else log10_p(None, below / whole)


def bits_by_contour(weights, n, s):
    """Trapezoid rule in 50 digits on a line other than the library's, far more nodes, no node left out before 1e-40 of the peak.

    Only for n so large that everything but the lobe at t = 0 is below 1e-40."""
    top = n * sum(weights)
    mirrored = 2 * s <= top
    if mirrored:
        s = top - s + 1
    centre = mp.mpf(2 * s - top) / 2
    low, high = mp.mpf(0), mp.mpf(1)
    for _ in range(100):
        middle = (low + high) / 2
        mean = n * sum(mp.mpf(w) / 2 * mp.tanh(middle * w / 2) for w in weights)
        low, high = (middle, high) if mean < centre else (low, middle)
    sd = mp.sqrt(n * sum((mp.mpf(w) / 2 / mp.cosh(low * w / 2)) ** 2 for w in weights))
    theta = low + 2 / sd
    step, total, j = 1 / (sd * 9), mp.mpf(0), 0
    while True:
        z = mp.mpc(theta, j * step)
        product = mp.mpc(1)
        for w in weights:
            product *= mp.cosh(z * w / 2)
        term = product**n * mp.exp(-z * centre) / (1 - mp.exp(-z))
        total += term.real * (1 if j else mp.mpf(0.5))
        if abs(term) < abs(total) * mp.mpf(10) ** -32:
            break
        j += 1
    tail = total * step / mp.pi
    return log10_p(None, tail) if mirrored else log10_p(tail)


def weighted_bits():
    exact = [(linear(5), [1, 2, 7, 40, 200]), (linear(9), [1, 4, 25]), (linear(30), [1, 3, 12]), ([3, 50, 51, 1000], [2, 30]), ([1, 1, 2], [500])]
    far = [(linear(5), [20_000]), (linear(30), [200, 1000, 10_000, 1_000_000])]
    for weights, tokens in exact + far:
        for n in tokens:
            top = n * sum(weights)
            sd = (n * sum(w * w for w in weights)) ** 0.5 / 2
            # Past half of the way to the maximum the contour's other peaks count; counting has no such limit.
            limit = top if (weights, tokens) in exact else 0.75 * top
            points = {round(top / 2 + z * sd) for z in Z}
            if (weights, tokens) in exact:
                points |= {top, top - min(weights), top - max(weights) // 2, round(0.8 * top), round(0.95 * top)}
            points = {s for s in points if 1 <= s <= limit}
            if (weights, tokens) in exact:
                values = bits_by_counting(weights, n, points)
            else:
                values = ((s, bits_by_contour(weights, n, s)) for s in sorted(points))
            for s, log10 in values:
                yield point(log10, s=s, weights=weights, n=n)


def normal():
    for z in [-30.0, -8.0, -3.0, -1.0, -0.1, 0.0, 0.3, 1.0, 1.4, 1.42, 2.0, 5.0, 8.3, 39.0, 214.0, 10_000.0]:
        p, q = mp.erfc(z / mp.sqrt(2)) / 2, mp.erfc(-z / mp.sqrt(2)) / 2
        yield point(log10_p(p) if z >= 0 else log10_p(None, q), z=z)


def student_t():
    """By quadrature of the density from t to infinity, substituted so that the far end is finite."""
    for df in [0.5, 1, 2, 3, 9, 19, 99, 1000, 100_000]:
        v = mp.mpf(df)
        front = mp.exp(mp.loggamma((v + 1) / 2) - mp.loggamma(v / 2)) / mp.sqrt(v * mp.pi)
        density = lambda u: front * mp.exp(-(v + 1) / 2 * mp.log1p(u * u / v))
        for t in [1e-6, 0.1, 0.7, 0.999, 1.001, 2.3, 6.0, 25.0, 300.0, 1e8]:
            tt = mp.mpf(t)
            # u = t e^s: the integrand falls off like e^(-v s) or faster.
            scale = 1 / (v + tt * tt if tt > 1 else v)
            ends = [0] + [mp.mpf(2) ** k * scale for k in range(-2, 60) if mp.mpf(2) ** k * scale < 400 / min(v, 1)] + [400 / min(v, 1)]
            tail = mp.quad(lambda s: density(tt * mp.exp(s)) * tt * mp.exp(s), ends)
            yield point(log10_p(tail), t=t, df=float(df))
        yield point(log10_p(None, mp.quad(density, [2, 4, 8, 16, 64, 1024, mp.mpf(2) ** 30, mp.inf])) if df >= 2 else log10_p(None, mp.betainc(v / 2, 0.5, 0, v / (v + 4), regularized=True) / 2), t=-2.0, df=float(df))


def main():
    laws = [binomial, hypergeometric, gamma, two_gamma, weighted_bits, normal, student_t]
    document = {
        "_comment": "Tails P(X >= x) as log10_p, made by tests/it/golden/stats.py with mpmath "
        + mp.__version__
        + " at 50 digits or more. Independent of the library: direct sums, quadrature, partial fractions, counting in integers."
    }
    for law in laws:
        rows = list(law())
        document[law.__name__] = rows
        print(law.__name__, len(rows), flush=True)
    lines = [f'"_comment": {json.dumps(document.pop("_comment"))}']
    for name, rows in document.items():
        lines.append(f'"{name}": [\n' + ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows) + "\n]")
    pathlib.Path(__file__).with_suffix(".json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


main()
