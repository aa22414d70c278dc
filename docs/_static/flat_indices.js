// Lowers indices where the browser has no font for formulas and therefore leaves them on the line.
addEventListener("DOMContentLoaded", () => {
  document.body.insertAdjacentHTML("beforeend", "<math><msub><mi>v</mi><mn>1</mn></msub></math>");
  const probe = document.body.lastElementChild;
  const [letter, index] = [...probe.firstElementChild.children].map((e) => e.getBoundingClientRect().bottom);
  probe.remove();
  document.documentElement.classList.toggle("flat-indices", index - letter < 2);
});
