/** A header's other key, the key that objects of JavaScript do not keep, and text that UTF-8 cannot hold name no tensor. */
export function isTensorName(name: string): boolean {
  return name !== '__metadata__' && name !== '__proto__' && !/\p{Surrogate}/u.test(name);
}
