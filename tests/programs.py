"""Three layers as bare forward equations and nothing else: what a user may bring instead of a Network."""

from sympy import Rational, Sum, exp, sqrt, tanh

from symbolic import Equation, Program, Tensor, index, over, size

j, s, t, u, d, k, w = (index(letter) for letter in "jstudkw")


def residual_block():
    """r = tanh(W h) + h with h = V x: one tensor, h, is used twice."""
    n = size("n")
    x, y = Tensor("x", "input", shape=(n,), indices=(j,)), Tensor("y", "target", shape=(n,), indices=(j,))
    V, W = (Tensor(name, "parameter", shape=(n, n), indices=(j, s)) for name in "VW")
    h, v, g, r = (Tensor(name, shape=(n,), indices=(j,)) for name in "hvgr")
    loss = Tensor("L", "loss")
    return Program(
        leaves=(x, V, W, y),
        equations=(
            Equation(h, (j,), Sum(V[j, s] * x[s], over(s, n))),
            Equation(v, (j,), Sum(W[j, s] * h[s], over(s, n))),
            Equation(g, (j,), tanh(v[j])),
            Equation(r, (j,), g[j] + h[j]),
            Equation(loss, (), Sum((r[j] - y[j]) ** 2 / 2, over(j, n))),
        ),
        title="residual block",
    )


def layer_norm():
    """Each row of x, scaled by w, normalised to mean 0 and variance 1, then gamma and beta."""
    T, D = size("T"), size("D")
    x, y = Tensor("x", "input", shape=(T, D), indices=(t, d)), Tensor("y", "target", shape=(T, D), indices=(t, d))
    scale, gamma, beta = (Tensor(name, "parameter", shape=(D,), indices=(d,)) for name in ("scale", "gamma", "beta"))
    h, centred, normed, out = (Tensor(name, shape=(T, D), indices=(t, d)) for name in ("h", "centred", "normed", "out"))
    mean, variance = (Tensor(name, shape=(T,), indices=(t,)) for name in ("mean", "variance"))
    loss = Tensor("L", "loss")
    return Program(
        leaves=(x, scale, gamma, beta, y),
        equations=(
            Equation(h, (t, d), x[t, d] * scale[d]),
            Equation(mean, (t,), Sum(h[t, d], over(d, D)) / D),
            Equation(centred, (t, d), h[t, d] - mean[t]),
            Equation(variance, (t,), Sum(centred[t, d] ** 2, over(d, D)) / D),
            Equation(normed, (t, d), centred[t, d] / sqrt(variance[t] + Rational(1, 100000))),
            Equation(out, (t, d), gamma[d] * normed[t, d] + beta[d]),
            Equation(loss, (), Sum((out[t, d] - y[t, d]) ** 2 / 2, over(t, T), over(d, D))),
        ),
        title="layer norm",
    )


def attention():
    """Single-head attention over T rows, softmax over each row of scores."""
    T, D, K = size("T"), size("D"), size("K")
    x, y = Tensor("x", "input", shape=(T, D), indices=(t, d)), Tensor("y", "target", shape=(T, K), indices=(t, k))
    WQ, WK, WV = (Tensor(name, "parameter", shape=(K, D), indices=(k, d)) for name in ("WQ", "WK", "WV"))
    queries, keys, values, out = (
        Tensor(name, shape=(T, K), indices=(t, k)) for name in ("queries", "keys", "values", "out")
    )
    scores, weights = (Tensor(name, shape=(T, T), indices=(t, u)) for name in ("scores", "weights"))
    loss = Tensor("L", "loss")
    return Program(
        leaves=(x, WQ, WK, WV, y),
        equations=(
            *(
                Equation(made, (t, k), Sum(x[t, d] * matrix[k, d], over(d, D)))
                for made, matrix in ((queries, WQ), (keys, WK), (values, WV))
            ),
            Equation(scores, (t, u), Sum(queries[t, k] * keys[u, k], over(k, K)) / sqrt(K)),
            Equation(weights, (t, u), exp(scores[t, u]) / Sum(exp(scores[t, w]), over(w, T))),
            Equation(out, (t, k), Sum(weights[t, u] * values[u, k], over(u, T))),
            Equation(loss, (), Sum((out[t, k] - y[t, k]) ** 2 / 2, over(t, T), over(k, K))),
        ),
        title="single-head attention",
    )


PROGRAMS = {"residual block": residual_block, "layer norm": layer_norm, "attention": attention}
