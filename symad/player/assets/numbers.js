// Numbers as short texts: with three decimals, or in scientific notation if three decimals do not
// suffice.  Every digit equals that of the Python code: ties are rounded to even.

const MINUS = "\u2212";

function formatNumber(value) {
  if (typeof value === "boolean" || typeof value === "bigint") {
    return String(value).replace("-", MINUS);
  }
  if (Number.isNaN(value)) return "nan";
  if (value === 0) return "0";
  const size = Math.abs(value);
  const sign = value < 0 ? MINUS : "";
  if (size === Infinity) return sign + "∞";
  if (size >= 1e-3 && size < 1e6) return sign + withoutZeros(fixed(size));
  return sign + scientific(size).replace("-", MINUS);
}

function withoutZeros(text) {
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

// Three decimals.  A tie is an odd number of sixteenths: no other number ends in a 5 there.
function fixed(size) {
  const sixteenths = size * 16;
  if (!Number.isInteger(sixteenths) || sixteenths % 2 === 0) return size.toFixed(3);
  const below = Math.floor(size * 1000);
  return ((below % 2 === 0 ? below : below + 1) / 1000).toFixed(3);
}

// Three significant digits.
function scientific(size) {
  const [digits, exponent] = size.toExponential(60).split("e");
  const all = digits.replace(".", "");
  let kept = Number(all.slice(0, 3));
  const rest = all.slice(3);
  if (rest[0] > "5" || (rest[0] === "5" && (/[1-9]/.test(rest.slice(1)) || kept % 2 === 1))) kept += 1;
  const carried = kept === 1000;
  const power = Number(exponent) + (carried ? 1 : 0);
  const three = String(carried ? 100 : kept);
  if (power >= -4 && power < 3) return withoutZeros((Number(three) * 10 ** (power - 2)).toFixed(2 - power));
  const mantissa = withoutZeros(`${three[0]}.${three.slice(1)}`);
  return `${mantissa}e${power < 0 ? "-" : "+"}${String(Math.abs(power)).padStart(2, "0")}`;
}
