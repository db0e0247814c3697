import { useState } from 'react';

import type { ProductCardFragment } from './gql/operations';

interface Props {
  image: ProductCardFragment['featuredImage'];
  name: string;
}

/**
 * The picture of a product. Its place has one size, whatever the picture has and whether it is there, so that nothing moves when it is loaded.
 * A picture without a text says what the name beside it says.
 */
export function Picture({ image, name }: Props) {
  const [failed, setFailed] = useState('');
  if (!image || failed === image.url) {
    return (
      <div className="picture" aria-hidden="true">
        {name.slice(0, 1).toUpperCase()}
      </div>
    );
  }
  return (
    <div className="picture">
      <img
        src={image.url}
        alt={image.altText ?? ''}
        loading="lazy"
        decoding="async"
        referrerPolicy="no-referrer"
        onError={() => setFailed(image.url)}
      />
    </div>
  );
}
