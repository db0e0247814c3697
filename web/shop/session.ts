import { openSession } from '../common/session';

// A page of the same host that knows the customer's token may store it under this key before it links to the shop.
export const session = openSession('holdfast.token');
