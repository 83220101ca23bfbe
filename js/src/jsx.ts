// What JSX becomes in the bundle: calls with the children as arguments are two kilobytes shorter.

export { Fragment, h } from "preact";
