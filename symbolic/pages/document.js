// The page works without this: it opens what a link leads into, where the browser does not, and adds two buttons.
const open = () => {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  for (let at = target; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
  target.scrollIntoView({ block: "center" });
};
addEventListener("hashchange", open);
if (location.hash) open();

const folds = document.querySelectorAll("details:not(.law)");
const contents = document.querySelector("nav.contents");
if (folds.length && contents) {
  const bar = document.createElement("p");
  bar.className = "unfold";
  for (const [name, state] of [["Unfold all", true], ["Fold all", false]]) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = name;
    button.addEventListener("click", () => { for (const fold of folds) fold.open = state; });
    bar.append(button);
  }
  contents.append(bar);
}
