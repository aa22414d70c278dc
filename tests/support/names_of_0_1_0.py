"""The public names of version 0.1.0, as it had them: they stay, or work for one version more."""

from __future__ import annotations

TOP_LEVEL = """
    Constant Edge Executor Extension Function Graph Node Parameter SymadError TensorType Variable
    abs absolute acos acosh add add_at add_n all amax amin any arange arccos arccosh arcsin arcsinh
    arctan arctan2 arctanh argmax argmin argsort asin asinh atan atan2 atanh atleast_1d atleast_2d
    broadcast_like broadcast_to cast cbrt ceil clip compare_derivatives compile concat concatenate
    constant cos cosh cost cumprod cumsum custom deg2rad degrees diag diagonal difference_errors
    digamma directional_derivative divide dot draw einsum equal erf erfc erfinv errors exp exp2
    expand_dims explain expm1 extend eye find_nan flatten flip floor floor_divide fmod full
    full_like gammaln gradients greater greater_equal hessian hessian_vector_product hstack hypot
    identity index_array inner isfinite isinf isnan jacobian less less_equal linalg linspace
    listing log log10 log1p log2 log_softmax logaddexp logical_and logical_not logical_or
    logical_xor logsumexp map_over matmul matrix_transpose max maximum mean memory min minimum mod
    moveaxis multiply negative not_equal numerical_gradient one_hot ones ones_like outer pad
    parameter permute_dims play polygamma pow power prod profile pullback pushforward rad2deg
    radians ravel reciprocal relu remainder repeat reshape reshape_like reshape_outer roll round
    scatter_add scope set_at shape sigmoid sign sin sinh size softmax softplus sort split sqrt
    square squeeze stack std stop_gradient structure subtract sum sum_like swapaxes take
    take_along_axis tan tangents tanh tensordot tile to_networkx trace transpose tril triu
    true_divide trunc value_and_gradients var vstack where zeros zeros_like
""".split()

LINALG = """
    cholesky det eigh eigvalsh inv matrix_power matrix_transpose norm qr slogdet solve
    solve_triangular svd svdvals trace
""".split()

DEMO = """
    DataError Digits Model accuracy backpropagate compare_orders compare_with_extension
    cross_entropy doubling_chain full_batch_descent gradient_step initial_weights layered_network
    load_digits logistic_regression nn_epoch parse_mnist read_idx regularised_network run_demo
    run_epoch running_example shared_exponential softmax_loss softmax_regression
    softmax_regression_epoch two_layer_network with_ones
""".split()

ERRORS = """
    EvaluationError ExpressionError FeedError GradientError GraphError GraphTypeError InternalError
    MissingExtraError RenderError ShapeError SymadError did_you_mean
""".split()

TESTING = "GradientMismatch assert_graphs_equal check_gradients".split()

MODULES = {"": TOP_LEVEL, "linalg": LINALG, "demo": DEMO, "errors": ERRORS, "testing": TESTING}

MEMBERS = {
    "Node": """
        T all any argmax argmin astype clip cumprod cumsum diagonal dot dtype eval flatten inputs
        label mT max mean min name ndim op prod ravel repeat reshape role round scope shape site
        size squeeze std sum swapaxes take trace transpose type var
    """.split(),
    "Constant": ["value"],
    "Parameter": ["value"],
    "Graph": ["consumers", "inputs", "nodes", "outputs", "use_counts"],
    "Function": ["passes", "plan", "source", "specialised", "trade", "write_source"],
    "Executor": ["function", "run"],
    "Extension": ["adjoints", "generation", "outputs", "partials", "seeds", "steps", "targets"],
    "Edge": ["consumer", "slot", "source"],
    "TensorType": """
        dtype is_float is_static nbytes ndim shape size weak with_dtype with_shape
    """.split(),
}
"""Attributes and methods of public classes."""

DOCUMENTED = """
    demo.backpropagation:compare_with_extension demo.examples:running_example
    demo.exercises:check demo.models:initial_weights demo.models:regularised_network
    demo.order:compare_orders demo.order:doubling_chain
    graph.formula:Term graph.formula:format_term graph.node:Constant graph.node:Node
    graph.node:Variable graph.node:apply graph.op:OP_CLASSES graph.op:Op graph.sample:Sample
    graph.sample:reals graph.traverse:topological_order
    ops.base:Linear ops.base:Unary ops.base:as_node ops.base:register ops.base:tensor_types
    passes.pipeline:all_rules passes.specialise:specialise
    types:TensorType types:UnknownShape types:normalize_axis
""".split()
"""What the documents of 0.1.0 imported from modules, as ``module:name``."""
