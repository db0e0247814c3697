type Child = Node | string | false | null | undefined;

/** Makes an element. Attributes that are false are left out, true ones are empty. */
export function h<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Record<string, string | boolean> = {},
  ...children: Child[]
): HTMLElementTagNameMap[Tag] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false) {
      element.setAttribute(name, value === true ? '' : value);
    }
  }
  element.append(...children.filter((child): child is Node | string => child !== false && child != null && child !== ''));
  return element;
}

export function byId<E extends HTMLElement>(id: string): E {
  const element = document.getElementById(id);
  if (!element) {
    throw new Error(`the page has no #${id}`);
  }
  return element as E;
}

const shown = new WeakMap<Element, string>();

/** Replaces what an element holds, if that is made of something else than before: a screen reader would say it again. */
export function show(element: Element, from: unknown, make: () => Child[]) {
  const key = JSON.stringify(from);
  if (shown.get(element) !== key) {
    shown.set(element, key);
    element.replaceChildren(...make().filter((child): child is Node | string => child !== false && child != null));
  }
}
