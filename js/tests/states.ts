// Every state that the viewer can be in, by its name: accessibility.test.ts goes through all of them,
// and js/dev/screenshots.mjs takes their pictures. A new part of the page needs its line here.

import { FakeKernel, type Piece } from "./fake_kernel";

interface Stage {
  el: HTMLElement;
  kernel: FakeKernel;
}
type Step = (stage: Stage) => Promise<void> | void;
type Change = (kernel: FakeKernel) => void;
interface Way {
  kernel: () => FakeKernel;
  steps: Step[];
}

const PROMPT = ["The", " most", " surprising", " thing", " about", " language", " is"];
const TEXT = (
  " how| much| it| highlights| cultural| nuances| and| social| contexts|.| What| seems| like| a| straightforward" +
  "| language| to| non|-|exper|ts| can| have| complex| uses| and| uses| to| those| with| special| regard|.|\n|\n" +
  "|As| a| linguistic| anthropologist|,| my| work"
).split("|");
const SPECIAL = "<|end|>";
const STRANGE: Piece[] = [
  ...[
    " ",
    [0xf0],
    [0x9f],
    [0x98],
    [0x80],
    " and",
    " שלום",
    " עולם",
    "\n",
    "<script>",
    "\t",
    "\u202eabc",
  ],
  ...[[0x9f], [], "\u0007", "\n", "{\n", "    return", " 1;", "\n", "}"],
  SPECIAL,
];
/** Where a branch parts from the text, and where the token that is looked at stands. */
const PARTED = 9;
const LOOKED_AT = 40;

/** A kernel that has a bit of everything: branches, forced tokens, and more to come. */
function story(change: Change = () => {}, before: Change = () => {}): () => FakeKernel {
  return () => {
    const kernel = new FakeKernel(PROMPT, [...new Set([...TEXT, ...STRANGE])], 3000);
    kernel.delimiters.add(kernel.idOf(SPECIAL));
    before(kernel);
    kernel.write(TEXT.slice(0, 30));
    const first = kernel.state.head;
    kernel.state.head = PARTED;
    kernel.write([" highlights"], "forced");
    kernel.write(TEXT.slice(4));
    const main = kernel.state.head;
    kernel.state.head = LOOKED_AT;
    kernel.write([" special"], "forced");
    kernel.write(TEXT.slice(20, 30));
    kernel.state.head = first;
    kernel.write([" with", " uses"], "edited");
    kernel.state.head = main;
    kernel.state.can_undo = true;
    kernel.state.selected = LOOKED_AT;
    change(kernel);
    kernel.save();
    return kernel;
  };
}

const nothing = () => new FakeKernel([]);
const prompt = () => new FakeKernel(PROMPT, TEXT, 3000);
const branchy = story((kernel) => {
  const { head } = kernel.state;
  for (let branch = 0; branch < 60; branch++) {
    kernel.state.head = PARTED + (branch % 5);
    kernel.write(TEXT.slice(branch % 7, 12), "forced");
  }
  kernel.state.head = head;
});
/** Branches that people have named, coloured and hidden. */
const labelled = story((kernel) => {
  const { head } = kernel.state;
  kernel.state.head = 20;
  kernel.write([" with", " uses"]);
  kernel.state.labels = [
    { start: 37, name: "the rude one", colour: "green", hidden: false },
    { start: 76, name: null, colour: "pink", hidden: false },
    { start: kernel.rows.length - 2, name: "no longer needed", colour: null, hidden: true },
  ];
  kernel.state.head = head;
});
const longName = story((kernel) => {
  const name = "a_name_of_sixty_characters_".padEnd(60, "without_a_space_");
  kernel.state.labels = [{ start: 37, name, colour: null, hidden: false }];
});
const readOnly = story((kernel) => {
  kernel.state.read_only =
    "This session was saved from another model: it can be read, and nothing can be added to it.";
});

const steered = story(
  () => {},
  (kernel) => {
    kernel.intervene = (logProbs) => logProbs.map((x, id) => x + (id % 5 === 0 ? 1 : 0));
  },
);

/** What a person does, by the names that things have. */
const click = (name: string) => at(name, (element) => element.click());
const choose = (list: string, index: number) =>
  at(list, (element) => optionOf(element, index).click());
const hover = (list: string, index: number) =>
  at(list, (element) => {
    optionOf(element, index).dispatchEvent(new PointerEvent("pointerover", { bubbles: true }));
  });
const press = (name: string, key: string, more: KeyboardEventInit = {}) =>
  at(name, (element) => {
    element.focus();
    element.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, ...more }));
  });
const type = (name: string, text: string) =>
  at(name, (element) => {
    (element as HTMLInputElement).value = text;
    element.dispatchEvent(new InputEvent("input", { bubbles: true }));
    element.dispatchEvent(new Event("change", { bubbles: true }));
  });
const scroll = (list: string, top: number) => at(list, (element) => element.scrollTo(0, top));
/** Open what one stage of the program did. */
const stage = (index: number): Step => {
  return ({ el }) =>
    el
      .querySelectorAll<HTMLElement>('[aria-expanded="false"]')
      .item(index + 1)
      .click();
};
const compareWith = (branch: number): Step => {
  return ({ el }) =>
    el.querySelectorAll<HTMLElement>(".itw-compare [type=checkbox]").item(branch).click();
};
/** What the kernel does. */
const tell = (change: Parameters<FakeKernel["delta"]>[0]): Step => {
  return ({ kernel }) => kernel.delta(change);
};
const make = (tokens: number): Step => {
  return ({ kernel }) => kernel.tick(tokens);
};
const silence: Step = ({ kernel }) => {
  kernel.answers = false;
};
const failing: Step = ({ kernel }) => {
  const request = kernel.model.last("distribution");
  if (request !== undefined) kernel.fail(request, "The model is out of memory.");
};
/** Long enough for the page to say that something takes long. */
const wait = (milliseconds: number): Step => {
  return () => new Promise((done) => setTimeout(done, milliseconds));
};

const TOO_LONG = "The prompt has 9,120 tokens, and the model reads at most 8,192. Shorten it.";
const notice = { id: 1, type: "ValueError", message: TOO_LONG };
const job = { id: 1, kind: "generate", made: 0, total: 9, stopping: false } as const;

export const STATES: Record<string, Way> = {
  empty: way(nothing),
  prompt: way(prompt),
  plain: way(story(), tell({ selected: null })),
  chosen: way(story()),
  "first-token": way(story(), choose("Tokens", 0)),
  "next-token": way(story(), press("Tokens", "End")),
  alternative: way(story(), choose("Alternatives", 2)),
  search: way(story(), type("Search vocabulary", "l"), wait(400), choose("Alternatives", 2)),
  "no-hits": way(story(), type("Search vocabulary", "☃"), wait(400)),
  deep: way(story(), scroll("Alternatives", 26 * 1234), wait(400)),
  "being-read": way(story(), silence, scroll("Alternatives", 26 * 1234), wait(200)),
  "alternatives-failed": way(story(), silence, press("Tokens", "End"), wait(200), failing),
  stages: way(steered, click("Stages"), wait(50), stage(1), click("Order by s"), wait(400)),
  typed: way(story(), type("Force text", "exper language is<script>"), wait(400)),
  sampling: way(story(), click("Sampling")),
  "sampling-refused": way(story(), click("Sampling"), type("Temperature", "-1")),
  tooltip: way(story(), hover("Tokens", 12), wait(400)),
  stretch: way(story(), ...[1, 2, 3].map(() => press("Tokens", "ArrowRight", { shiftKey: true }))),
  words: way(story(), click("Words")),
  "word-tooltip": way(story(), click("Words"), hover("Tokens", 26), wait(400)),
  origin: way(story(), type("Colour by", "origin")),
  rank: way(story(), type("Colour by", "rank")),
  fitted: way(story(), type("Colour by", "excess"), type("Scale", "fitted")),
  busy: way(story(), click("Generate"), make(12)),
  stopping: way(story(), click("Generate"), silence, click("Stop"), wait(1100)),
  "branch-wanted": way(story(), tell({ job }), choose("Branches", 1)),
  error: way(story(), tell({ notice }), silence, click("Generate"), wait(1700)),
  "what-if": way(story(), click("What if"), wait(300), click("Keep"), wait(50)),
  "what-if-waiting": way(story(), tell({ job }), silence, click("What if")),
  "what-if-refused": way(story(), click("What if"), wait(300), type("Tokens each", "999")),
  "siblings-refused": way(story(), type("Siblings", "0")),
  siblings: way(story(), click("Grow siblings"), make(45)),
  compare: way(story(), click("Compare branches"), wait(50), compareWith(2), wait(50)),
  "compare-many": way(branchy, click("Compare branches"), wait(50)),
  "compare-long-name": way(longName, click("Compare branches"), wait(50)),
  "compare-waiting": way(story(), silence, click("Compare branches")),
  saving: way(story(), click("Save as")),
  "read-only": way(readOnly),
  "read-only-next": way(readOnly, press("Tokens", "End")),
  branches: way(branchy),
  "branch-found": way(branchy, type("Find branch", "how much")),
  "no-branch-found": way(branchy, type("Find branch", "☃")),
  labels: way(labelled),
  "hidden-branches": way(labelled, click("1 hidden branch: show"), press("Branches", "End")),
  renaming: way(labelled, press("Branches", "ArrowUp"), press("Branches", "F2")),
  strange: way(story((kernel) => kernel.write(STRANGE))),
  long: way(story((kernel) => kernel.write(Array(8).fill(TEXT).flat()))),
};

function way(kernel: () => FakeKernel, ...steps: Step[]): Way {
  return { kernel, steps };
}

/** Take the steps to a state, with a moment after each for the page to follow. */
export async function reach({ steps }: Way, stage: Stage): Promise<void> {
  await drawn();
  for (const step of steps) {
    await step(stage);
    await drawn();
  }
}

/** Two frames: one to hear of a change, and one to draw what follows from it. */
async function drawn(): Promise<void> {
  for (let i = 0; i < 2; i++) {
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  }
}

/** Do something with the one thing on the page that has a name. */
function at(name: string, act: (element: HTMLElement) => void): Step {
  return ({ el }) => {
    const elements = el.querySelectorAll<HTMLElement>(
      "button, input, select, summary, textarea, [role]",
    );
    const found = [...elements].find(
      (element) => element.checkVisibility() && nameOf(element).startsWith(name),
    );
    if (found === undefined) throw new Error(`nothing on the page is named "${name}"`);
    act(found);
  };
}

function optionOf(list: HTMLElement, index: number): HTMLElement {
  const option = list.querySelectorAll<HTMLElement>('[role="option"]')[index];
  if (option === undefined) throw new Error(`the list has no option ${index}`);
  return option;
}

function nameOf(element: HTMLElement): string {
  const labels = (element as HTMLInputElement).labels ?? [];
  const label = element.getAttribute("aria-label") ?? labels[0]?.textContent;
  return (label ?? element.textContent ?? "").trim();
}
