// Lowers indices and raises exponents where the browser has no font for formulas.
addEventListener("DOMContentLoaded", () => {
  const index = document.querySelector("math msub > :nth-child(2)");
  if (!index) return;
  const [low, base] = [index, index.previousElementSibling].map((element) => element.getBoundingClientRect().bottom);
  document.documentElement.classList.toggle("flat-indices", low - base < 2);
});
