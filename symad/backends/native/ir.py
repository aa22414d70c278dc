"""Writes LLVM's intermediate representation: modules of functions, as text.

Names and meanings are those of ``llvmlite.ir``, of which here is what symad needs: an instruction
becomes a line of text at once, instead of an object that checks its types and is written later.
That takes a quarter of the time, and needs no llvmlite; LLVM checks all types when it reads them.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

_RELATIONS = {"<": "lt", "<=": "le", "==": "eq", "!=": "ne", ">=": "ge", ">": "gt"}
_LIKELY, _UNLIKELY = ", !prof !0", ", !prof !1"
_WEIGHTS = '!0 = !{!"branch_weights", i32 99, i32 1}\n!1 = !{!"branch_weights", i32 1, i32 99}\n'


# Types


class Type:
    """A type; calling it makes a constant."""

    __slots__ = ("intrinsic_name", "text")

    def __init__(self, text: str, intrinsic_name: str = "") -> None:
        self.text, self.intrinsic_name = text, intrinsic_name

    def __call__(self, value: Any) -> Literal:
        return Literal(self, value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Type) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __str__(self) -> str:
        return self.text

    def as_pointer(self) -> PointerType:
        """Return the type of addresses of such values."""
        return PointerType(self)

    def written(self, value: Any) -> str:
        """Return a number as LLVM writes it."""
        return str(int(value or 0))


class IntType(Type):
    """Integers of so many bits."""

    __slots__ = ("width",)

    def __init__(self, bits: int) -> None:
        super().__init__(f"i{bits}", f"i{bits}")
        self.width = bits


class VoidType(Type):
    """What functions return that return nothing."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__("void")


class _FloatingType(Type):
    __slots__ = ()
    name = form = short = ""

    def __init__(self) -> None:
        super().__init__(self.name, self.short)

    def written(self, value: Any) -> str:
        """Return the bits of the number, as those of a double."""
        number = 0.0 if value is None else value
        rounded = struct.unpack(self.form, struct.pack(self.form, number))
        return f"0x{struct.unpack('<Q', struct.pack('<d', *rounded))[0]:x}"


class HalfType(_FloatingType):
    """Floats of 16 bits."""

    __slots__ = ()
    name, form, short = "half", "<e", "f16"


class FloatType(_FloatingType):
    """Floats of 32 bits."""

    __slots__ = ()
    name, form, short = "float", "<f", "f32"


class DoubleType(_FloatingType):
    """Floats of 64 bits."""

    __slots__ = ()
    name, form, short = "double", "<d", "f64"


class PointerType(Type):
    """Addresses, perhaps of values of a known type."""

    __slots__ = ("pointee",)

    def __init__(self, pointee: Any = None) -> None:
        super().__init__("ptr")
        self.pointee = pointee

    def written(self, value: Any) -> str:
        """Return the null pointer: there are no other constants."""
        return "null"


class VectorType(Type):
    """Vectors of so many elements."""

    __slots__ = ("count", "element")

    def __init__(self, element: Any, count: int) -> None:
        super().__init__(f"<{count} x {element.text}>")
        self.element, self.count = element, count

    def written(self, value: Any) -> str:
        """Return the constants in all lanes, or zeros."""
        if value is None:
            return "zeroinitializer"
        items = [item if isinstance(item, Literal) else self.element(item) for item in value]
        return f"<{', '.join([f'{item.type.text} {item.text}' for item in items])}>"


class FunctionType(Type):
    """Functions with such a result and such arguments."""

    __slots__ = ("args", "return_type")

    def __init__(self, return_type: Any, args: Sequence[Any]) -> None:
        self.return_type, self.args = return_type, tuple(args)
        super().__init__(f"{return_type.text} ({', '.join([a.text for a in self.args])})")


# Values


class Undefined:
    """Stands for a constant that may have any value."""


class Value:
    """Something that instructions take: ``text`` is how they name it."""

    __slots__ = ("text", "type")

    def __init__(self, type_: Any, text: str) -> None:
        self.type, self.text = type_, text

    def __str__(self) -> str:
        return f"{self.type.text} {self.text}"


class Literal(Value):
    """A constant: a number, or a vector of constants; ``None`` stands for zeros, or null."""

    __slots__ = ("constant",)

    def __init__(self, type_: Any, constant: Any) -> None:
        super().__init__(type_, "undef" if constant is Undefined else type_.written(constant))
        self.constant = constant


class BasicBlock:
    """Instructions that run one after another, to a jump or a return.

    Attributes
    ----------
    instructions : list
        Their lines, or objects whose ``str`` is one.
    is_terminated : bool
    """

    __slots__ = ("function", "instructions", "is_terminated", "name")

    def __init__(self, function: IRFunction, name: str) -> None:
        self.function, self.name = function, name
        self.instructions: list[Any] = []
        self.is_terminated = False

    @property
    def label(self) -> str:
        """How jumps name it."""
        return f'label %"{self.name}"'


class _Way:
    """The line of a value that depends on the way to it."""

    def __init__(self, head: str) -> None:
        self.head, self.ways = head, list[str]()

    def __str__(self) -> str:
        return f"{self.head} {', '.join(self.ways)}"


class Phi(Value):
    """A value that depends on which block has run before."""

    __slots__ = ("line",)

    def __init__(self, type_: Any, text: str) -> None:
        super().__init__(type_, text)
        self.line = _Way(f"{text} = phi {type_.text}")

    def add_incoming(self, value: Value, block: BasicBlock) -> None:
        """Take this value if that block has run before."""
        self.line.ways.append(f'[{value.text}, %"{block.name}"]')


class Switch:
    """A jump to one of several blocks."""

    def __init__(self, value: Value, default: BasicBlock) -> None:
        self._head, self._cases = f"switch {value}, {default.label}", ""

    def add_case(self, constant: Literal, block: BasicBlock) -> None:
        """Jump to a block if the value is this one."""
        self._cases += f" {constant}, {block.label}"

    def __str__(self) -> str:
        return f"{self._head} [{self._cases} ]"


class IRFunction(Value):
    """A function, which is only declared if it has no blocks.

    Attributes
    ----------
    args : list of Value
    attributes : set of str
    linkage : str
    blocks : list of BasicBlock
    """

    __slots__ = (
        "args", "attributes", "blocks", "function_type", "linkage", "module", "name", "used",
    )  # fmt: skip

    def __init__(self, module: Module, function_type: FunctionType, name: str) -> None:
        super().__init__(PointerType(function_type), f'@"{name}"')
        self.module, self.function_type, self.name = module, function_type, name
        self.attributes: set[str] = set()
        self.linkage, self.used = "", len(function_type.args)
        self.args = [Value(type_, f"%.{k}") for k, type_ in enumerate(function_type.args)]
        self.blocks: list[BasicBlock] = []
        module.globals[name] = self

    @property
    def is_declaration(self) -> bool:
        """Whether it has no code here."""
        return not self.blocks

    @property
    def entry_basic_block(self) -> BasicBlock:
        """The block that runs first."""
        return self.blocks[0]

    def new_name(self) -> str:
        """Return a name that nothing in this function has yet."""
        self.used += 1
        return f".{self.used - 1}"

    def append_basic_block(self, name: str = "") -> BasicBlock:
        """Return a new block."""
        block = BasicBlock(self, name + self.new_name())
        self.blocks.append(block)
        return block

    def __str__(self) -> str:
        attributes = "".join([f" {each}" for each in sorted(self.attributes)])
        result = self.function_type.return_type.text
        if not self.blocks:
            types = ", ".join([type_.text for type_ in self.function_type.args])
            return f"declare {result} {self.text}({types}){attributes}\n"
        linkage = f"{self.linkage} " if self.linkage else ""
        head = f"define {linkage}{result} {self.text}({', '.join(map(str, self.args))}){attributes}"
        lines = [f"{head} {{"]
        for block in self.blocks:
            lines.append(f'"{block.name}":')
            lines += [f"  {line}" for line in block.instructions]
        return "\n".join([*lines, "}\n"])


class Module:
    """Functions that are compiled together."""

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.globals: dict[str, IRFunction] = {}

    @property
    def functions(self) -> list[IRFunction]:
        """All functions, in order."""
        return list(self.globals.values())

    def __str__(self) -> str:
        return "\n".join([*map(str, self.globals.values()), _WEIGHTS])


Constant, Function = Literal, IRFunction
"""The names in ``llvmlite.ir``, which are those of other classes of symad."""


# Instructions

_Instruction = Callable[..., Any]


def _operation(code: str) -> _Instruction:
    """Return a method that writes an instruction of two operands of one type."""

    def write(self: IRBuilder, x: Value, y: Value, flags: Sequence[str] = ()) -> Value:
        how = f"{code} {' '.join(flags)}" if flags else code
        return self.value(x.type, f"{how} {x.type.text} {x.text}, {y.text}")

    return write


def _conversion(code: str) -> _Instruction:
    """Return a method that writes a conversion to a type."""

    def write(self: IRBuilder, x: Value, type_: Any) -> Value:
        if x.type == type_:
            return x
        return self.value(type_, f"{code} {x.type.text} {x.text} to {type_.text}")

    return write


def _comparison(code: str) -> _Instruction:
    """Return a method that compares; equality has no sign."""

    def write(self: IRBuilder, relation: str, x: Value, y: Value) -> Value:
        kind = code[:-1] if code[0] == "i" and relation in ("==", "!=") else code
        of, type_ = x.type, IntType(1)
        made: Any = VectorType(type_, of.count) if isinstance(of, VectorType) else type_
        return self.value(made, f"{kind}{_RELATIONS[relation]} {of.text} {x.text}, {y.text}")

    return write


class IRBuilder:
    """Appends instructions to a block."""

    def __init__(self, block: BasicBlock) -> None:
        self.position_at_end(block)

    def position_at_end(self, block: BasicBlock) -> None:
        """Append to another block from now on."""
        self.block, self.function = block, block.function

    @property
    def module(self) -> Module:
        """The module of the function."""
        return self.function.module

    def append_basic_block(self, name: str = "") -> BasicBlock:
        """Return a new block of the function."""
        return self.function.append_basic_block(name)

    def value(self, type_: Any, line: str) -> Value:
        """Write an instruction, and return its result."""
        name = f"%{self.function.new_name()}"
        self._insert(f"{name} = {line}")
        return Value(type_, name)

    def _insert(self, line: Any) -> None:
        lines = self.block.instructions
        lines.insert(len(lines) - self.block.is_terminated, line)

    def _end(self, line: Any) -> Any:
        assert not self.block.is_terminated, "a block has one end"
        self.block.instructions.append(line)
        self.block.is_terminated = True
        return line

    add, sub, mul = map(_operation, ("add", "sub", "mul"))
    sdiv, udiv, urem = map(_operation, ("sdiv", "udiv", "urem"))
    shl, lshr, ashr = map(_operation, ("shl", "lshr", "ashr"))
    and_, or_, xor = map(_operation, ("and", "or", "xor"))
    fadd, fsub, fmul, fdiv = map(_operation, ("fadd", "fsub", "fmul", "fdiv"))
    trunc, zext, sext = map(_conversion, ("trunc", "zext", "sext"))
    fptrunc, fpext, bitcast = map(_conversion, ("fptrunc", "fpext", "bitcast"))
    fptosi, fptoui, sitofp, uitofp = map(_conversion, ("fptosi", "fptoui", "sitofp", "uitofp"))
    inttoptr, ptrtoint = map(_conversion, ("inttoptr", "ptrtoint"))
    icmp_signed, icmp_unsigned = map(_comparison, ("icmp s", "icmp u"))
    fcmp_ordered, fcmp_unordered = map(_comparison, ("fcmp o", "fcmp u"))

    def neg(self, x: Value) -> Value:
        """Return 0 − x of integers."""
        return self.value(x.type, f"sub {x.type.text} {x.type(None).text}, {x.text}")

    def fneg(self, x: Value) -> Value:
        """Return a float with the other sign."""
        return self.value(x.type, f"fneg {x.type.text} {x.text}")

    def not_(self, x: Value) -> Value:
        """Return an integer with all bits changed."""
        of = x.type
        ones = of([-1] * of.count) if isinstance(of, VectorType) else of(-1)
        return self.value(of, f"xor {of.text} {x.text}, {ones.text}")

    def select(self, condition: Value, x: Value, y: Value) -> Value:
        """Return ``x`` where a condition holds, else ``y``."""
        return self.value(x.type, f"select {condition}, {x}, {y}")

    # Memory

    def alloca(self, type_: Any, size: int | None = None) -> Value:
        """Return memory on the stack for a value, or several."""
        count = "" if size is None else f", i32 {size}"
        return self.value(PointerType(type_), f"alloca {type_.text}{count}")

    def load(self, place: Value, align: int | None = None, typ: Any = None) -> Value:
        """Return a value from memory."""
        type_ = typ or place.type.pointee
        aligned = f", align {align}" if align else ""
        return self.value(type_, f"load {type_.text}, ptr {place.text}{aligned}")

    def store(self, value: Value, place: Value, align: int | None = None) -> None:
        """Write a value to memory."""
        aligned = f", align {align}" if align else ""
        self._insert(f"store {value}, ptr {place.text}{aligned}")

    def gep(self, place: Value, indices: Sequence[Value], source_etype: Any = None) -> Value:
        """Return the address of an element of an array."""
        type_ = source_etype or place.type.pointee
        steps = ", ".join(map(str, indices))
        return self.value(place.type, f"getelementptr {type_.text}, ptr {place.text}, {steps}")

    def atomic_rmw(self, operation: str, place: Value, value: Value, ordering: str) -> Value:
        """Change a value in memory at once, and return the old one."""
        change = f"atomicrmw {operation} ptr {place.text}, {value} {ordering}"
        return self.value(value.type, change)

    # Vectors

    def extract_element(self, vector: Value, lane: Value) -> Value:
        """Return the value in a lane."""
        return self.value(vector.type.element, f"extractelement {vector}, {lane}")

    def insert_element(self, vector: Value, value: Value, lane: Value) -> Value:
        """Return a vector with another value in a lane."""
        return self.value(vector.type, f"insertelement {vector}, {value}, {lane}")

    def shuffle_vector(self, x: Value, y: Value, lanes: Value) -> Value:
        """Return a vector of these lanes of two vectors."""
        type_ = VectorType(x.type.element, lanes.type.count)
        return self.value(type_, f"shufflevector {x}, {y}, {lanes}")

    # Calls

    def call(
        self, function: Value, arguments: Sequence[Value], fastmath: Sequence[str] = (),
        tail: str = "",
    ) -> Value:  # fmt: skip
        """Call a function, or the address of one."""
        return self._call(function.type.pointee, function.text, arguments, fastmath, tail)

    def asm(
        self, function_type: FunctionType, code: str, constraint: str, arguments: Sequence[Value],
        side_effect: bool,
    ) -> Value:  # fmt: skip
        """Run instructions of the processor."""
        kind = "asm sideeffect" if side_effect else "asm"
        return self._call(function_type, f'{kind} "{code}", "{constraint}"', arguments)

    def _call(
        self, type_: FunctionType, function: str, arguments: Sequence[Value],
        flags: Sequence[str] = (), tail: str = "",
    ) -> Value:  # fmt: skip
        result = type_.return_type
        how = " ".join([*([tail] if tail else ()), "call", *flags])
        line = f"{how} {result.text} {function}({', '.join(map(str, arguments))})"
        if result.text != "void":
            return self.value(result, line)
        self._insert(line)
        return Value(result, "")

    # Control

    def phi(self, type_: Any) -> Phi:
        """Return a value that depends on which block has run before."""
        made = Phi(type_, f"%{self.function.new_name()}")
        self._insert(made.line)
        return made

    def branch(self, block: BasicBlock) -> None:
        """Jump to a block."""
        self._end(f"br {block.label}")

    def cbranch(
        self, condition: Value, then: BasicBlock, otherwise: BasicBlock, weights: str = ""
    ) -> None:
        """Jump to one of two blocks."""
        self._end(f"br {condition}, {then.label}, {otherwise.label}{weights}")

    def switch(self, value: Value, default: BasicBlock) -> Switch:
        """Jump to a block that depends on an integer."""
        made: Switch = self._end(Switch(value, default))
        return made

    def ret(self, value: Value) -> None:
        """Return a value."""
        self._end(f"ret {value}")

    def ret_void(self) -> None:
        """Return."""
        self._end("ret void")

    def unreachable(self) -> None:
        """Say that nothing leads here."""
        self._end("unreachable")

    @contextmanager
    def goto_entry_block(self) -> Iterator[None]:
        """Write at the end of the first block for a while, but before its jump."""
        block = self.block
        self.position_at_end(self.function.entry_basic_block)
        yield
        self.position_at_end(block)

    @contextmanager
    def if_then(self, condition: Value, likely: bool | None = None) -> Iterator[BasicBlock]:
        """Do what is written inside if a condition holds."""
        inside, after = self.append_basic_block("if"), self.append_basic_block("endif")
        self.cbranch(condition, inside, after, _weights(likely))
        with self._inside(inside, after):
            yield after
        self.position_at_end(after)

    @contextmanager
    def if_else(
        self, condition: Value, likely: bool | None = None
    ) -> Iterator[tuple[AbstractContextManager[None], AbstractContextManager[None]]]:
        """Yield contexts for what is done if a condition holds, and if not."""
        blocks = [self.append_basic_block(name) for name in ("if", "else", "endif")]
        then, otherwise, after = blocks
        self.cbranch(condition, then, otherwise, _weights(likely))
        yield self._inside(then, after), self._inside(otherwise, after)
        self.position_at_end(after)

    @contextmanager
    def _inside(self, block: BasicBlock, after: BasicBlock) -> Iterator[None]:
        self.position_at_end(block)
        yield
        if not self.block.is_terminated:
            self.branch(after)


def _weights(likely: bool | None) -> str:
    return "" if likely is None else _LIKELY if likely else _UNLIKELY
