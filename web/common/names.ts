/** What people call a variant: the product, with the options that were chosen. */
export const nameOf = (product: string, title: string) => (title ? `${product}, ${title}` : product);
