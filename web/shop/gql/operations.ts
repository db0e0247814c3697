/** Internal type. DO NOT USE DIRECTLY. */
type Exact<T extends { [key: string]: unknown }> = { [K in keyof T]: T[K] };
/** Internal type. DO NOT USE DIRECTLY. */
export type Incremental<T> = T | { [P in keyof T]?: P extends ' $fragmentName' | '__typename' ? T[P] : never };
import type { TypedDocumentNode as DocumentNode } from '@graphql-typed-document-node/core';
/** An address. Blanks around its parts are left out. */
export type AddressInput = {
  /** The city, 1 to 100 characters. */
  city: string;
  /** The country, two upper-case letters of ISO 3166-1, such as DE, JP or US. */
  countryCode: string;
  /** Street, house and the like: one to three lines, each of 1 to 200 characters. */
  lines: Array<string>;
  /** Who receives it, 1 to 200 characters. */
  name: string;
  /** The telephone number for the delivery, at most 40 characters. */
  phone?: string | null | undefined;
  /** The postal code, at most 20 characters. */
  postalCode?: string | null | undefined;
  /** The region, state or province, at most 100 characters. */
  region?: string | null | undefined;
};

/** An order to cancel. */
export type CancelOrderInput = {
  /** A key that the client makes up: the same key is never executed twice, a repeat returns the first result. */
  idempotencyKey: string;
  /** The order. */
  orderId: string;
};

/** Points to buy for the caller's wallet. */
export type ChargePointsInput = {
  /** How many points, at least 1. */
  amount: string;
  /** A key that the client makes up: the same key is never executed twice, a repeat returns the first result. */
  idempotencyKey: string;
  /** The customer's card, by the name that the payment gateway has given to it, as in PaymentInput. */
  token?: string | null | undefined;
};

/** How somebody can be reached: by email, phone, or both. Blanks around the parts are left out. */
export type ContactInput = {
  /** The e-mail address, at most 254 characters. */
  email?: string | null | undefined;
  /** The name, at most 200 characters. */
  name?: string | null | undefined;
  /** The telephone number, at most 40 characters. */
  phone?: string | null | undefined;
};

/** Whether a coupon in a customer's hand can still be spent. */
export type CouponIssueStatus =
  /** It can be spent. */
  | 'ISSUED'
  /** It is spent. */
  | 'USED';

/** A kind of discount. */
export type DiscountKind =
  /** An amount of money. */
  | 'FIXED'
  /** A share of the order's sum. */
  | 'PERCENT';

/**
 * What happened to a balance. Lines of stock are for administrators: Product.stockHistory lists them. So are lines that no list has, such as
 * those of the quota of a coupon: node finds them by their identifier.
 */
export type EntryKind =
  /** An administrator has corrected the money in an account. */
  | 'ACCOUNT_ADJUSTED'
  /** A coupon was taken by a customer. */
  | 'COUPON_ISSUED'
  /** A coupon was given back with an order. */
  | 'COUPON_RETURNED'
  /** A coupon was spent on an order. */
  | 'COUPON_SPENT'
  /** Stock was taken for a hold. */
  | 'HOLD_CREATED'
  /** The stock of a hold was given back. */
  | 'HOLD_ENDED'
  /** The stock of an order was given back. */
  | 'ORDER_ENDED'
  /** An order was paid. */
  | 'ORDER_PAID'
  /** Stock was reserved for an order. An order that takes a hold over reserves none. */
  | 'ORDER_PLACED'
  /** The payment of an order was given back. */
  | 'ORDER_REFUNDED'
  /** An order does not count any more as one that waits for payment. */
  | 'ORDER_RELEASED'
  /** Products of an order came back. */
  | 'ORDER_RETURNED'
  /** An administrator has corrected the points. */
  | 'POINTS_ADJUSTED'
  /** Points were bought. */
  | 'POINTS_CHARGED'
  /** A part of the payment of an order was given back. */
  | 'REFUND_COMPLETED'
  /** Stock was added or taken. */
  | 'STOCK_ADJUSTED'
  /** Money was moved between accounts. */
  | 'TRANSFER_COMPLETED';

/** Why the shop refuses a request. */
export type ErrorCode =
  /** The customer holds as many of the coupon as one may. */
  | 'COUPON_ALREADY_ISSUED'
  /** The quota of the coupon is used up. */
  | 'COUPON_EXHAUSTED'
  /** The coupon cannot be taken or spent: not yet, no longer, or not on this. */
  | 'COUPON_NOT_VALID'
  /**
   * The idempotency key was used so long ago that the shop has forgotten the answer. What it was used for was carried out; this
   * attempt changed nothing. Look at what there is, and use a new key for a new request.
   */
  | 'IDEMPOTENCY_EXPIRED'
  /** The idempotency key was used for another request. */
  | 'IDEMPOTENCY_MISMATCH'
  /** There are not enough points, or there is not enough money. */
  | 'INSUFFICIENT_FUNDS'
  /** The input is out of its bounds or contradicts itself. */
  | 'INVALID_INPUT'
  /** The object is not in a state that allows this. */
  | 'INVALID_STATE'
  /** Somebody else changed the same meanwhile. This attempt changed nothing. */
  | 'LOCK_LOST'
  /** Too many others wanted the same for too long. This attempt changed nothing. */
  | 'LOCK_TIMEOUT'
  /** An object that the input names does not exist, or belongs to somebody else. */
  | 'NOT_FOUND'
  /** There is not enough stock. */
  | 'OUT_OF_STOCK'
  /** The payment was declined, or it came after its order had ended and was given back. */
  | 'PAYMENT_DECLINED'
  /** The order would cost something else than `expectedTotal`. Show the customer the new total, and send it with a new key. */
  | 'PRICE_CHANGED'
  /** The customer may not order that many of a product. */
  | 'PURCHASE_LIMIT'
  /** The customer has as many holds as one may have. Order what one of them has, or release one first. */
  | 'TOO_MANY_HOLDS'
  /** As many orders of the customer wait for payment as one may have. Pay or cancel one first. */
  | 'TOO_MANY_PENDING_ORDERS'
  /**
   * A part of the shop cannot be reached, or its answer did not come: the request may have been carried out. Repeat it with the
   * same idempotency key: the repeat is told.
   */
  | 'UNAVAILABLE'
  /** Somebody else has changed the object since the given version. */
  | 'VERSION_CONFLICT';

/** A group of contended numbers that one concurrency strategy serves. */
export type Family =
  /** Money in accounts. */
  | 'ACCOUNTS'
  /** Quotas of coupons, what a customer holds of them, and whether an issued coupon is spent. */
  | 'COUPONS'
  /** Points in wallets. */
  | 'POINTS'
  /** Stock of products. */
  | 'STOCK';

/** A coupon to take. */
export type IssueCouponInput = {
  /** The coupon. */
  couponId: string;
  /** A key that the client makes up: the same key is never executed twice, a repeat returns the first result. */
  idempotencyKey: string;
};

/** An amount of money. */
export type MoneyInput = {
  /** The amount in minor units of the currency, such as cents. */
  amountMinor: string;
  /** The currency, ISO 4217. */
  currency: string;
};

/** Whether the products of an order were handed over or sent. */
export type OrderFulfilment =
  /** They were. The order is returned, not cancelled. */
  | 'FULFILLED'
  /** Not yet. */
  | 'UNFULFILLED';

/** One product to order. */
export type OrderLineInput = {
  /** The product. */
  productId: string;
  /** How many, at least 1. */
  quantity: number;
};

/** How far an order has come. */
export type OrderStatus =
  /** The customer cancelled it; everything was given back. */
  | 'CANCELLED'
  /** It was not paid in time; everything was given back. */
  | 'EXPIRED'
  /** A step of it failed, such as the payment; everything was given back. */
  | 'FAILED'
  /** It is paid. */
  | 'PAID'
  /** Its stock is reserved, it is not paid yet. */
  | 'PENDING';

/** An order to pay. */
export type PayOrderInput = {
  /** A key that the client makes up: the same key is never executed twice, a repeat returns the first result. */
  idempotencyKey: string;
  /** The order. */
  orderId: string;
  /** How to pay. */
  payment: PaymentInput;
};

/** How far a payment attempt has come. */
export type PaymentAttemptStatus =
  /** The gateway holds the amount for the shop. */
  | 'AUTHORIZED'
  /** The gateway is being asked to hold the amount. */
  | 'AUTHORIZING'
  /** The amount is the shop's. */
  | 'CAPTURED'
  /** The gateway is being asked to take the amount. */
  | 'CAPTURING'
  /** The gateway was not asked yet. */
  | 'CREATED'
  /** The payment was refused. */
  | 'DECLINED'
  /** The amount was given back. */
  | 'REFUNDED'
  /** The gateway is being asked to give the amount back. */
  | 'REFUNDING'
  /** The customer has to confirm it: see action. After that, repeat the request with the same key, or wait: the shop looks it up by itself. */
  | 'REQUIRES_ACTION'
  /** An answer of the gateway is missing; the shop looks it up. */
  | 'UNKNOWN'
  /** It was ended; no money was taken. */
  | 'VOIDED'
  /** The gateway is being asked to end it; no money is taken. */
  | 'VOIDING';

/** How to pay. */
export type PaymentInput = {
  /** The account that pays; with ACCOUNT only. */
  accountId?: string | null | undefined;
  /**
   * The attempt of the order to go on with, such as after its customer has confirmed it; with payOrder and CARD only, and without a token. No
   * other attempt is begun: if this one is declined, the answer is PAYMENT_DECLINED.
   */
  attemptId?: string | null | undefined;
  /** By what means. */
  method: PaymentMethod;
  /**
   * The customer's card, by the name that the payment gateway has given to it in the browser, such as the PaymentMethod "pm_..." of Stripe; with
   * CARD only. Without it the customer gives the card to the gateway when confirming the payment: see PaymentAttempt.action.
   */
  token?: string | null | undefined;
};

/** A means of payment. */
export type PaymentMethod =
  /** Money in an account of the caller. */
  | 'ACCOUNT'
  /** A card, by the payment gateway. */
  | 'CARD'
  /** Points of the caller's wallet; one point is worth one minor unit. */
  | 'POINTS';

/** How far a payment has come. */
export type PaymentStatus =
  /** The gateway holds the amount for the shop. */
  | 'AUTHORIZED'
  /** The amount is the shop's, but for what was refunded. */
  | 'CAPTURED'
  /** The payment was refused. */
  | 'DECLINED'
  /** All of the amount was given back. */
  | 'REFUNDED';

/** Whether the database has confirmed what was done. Only strategies that decide in Redis know anything but PERSISTED. */
export type PersistenceState =
  /** Redis has admitted it, the database follows. */
  | 'ACCEPTED'
  /** The database refused what Redis had admitted; it was taken back. */
  | 'FAILED_COMPENSATED'
  /** It is in the database. */
  | 'PERSISTED';

/** An order to place. */
export type PlaceOrderInput = {
  /** How the customer can be reached about the order. The order keeps it as it is given here. */
  contact?: ContactInput | null | undefined;
  /** A coupon that the caller holds, to spend on this order. */
  couponIssueId?: string | null | undefined;
  /**
   * The total that the customer was shown, discount included. If the order would cost anything else by now, it is not placed: the
   * answer is PRICE_CHANGED, with both amounts. Without it, the order costs what the products cost at this moment.
   */
  expectedTotal?: MoneyInput | null | undefined;
  /**
   * A hold of the caller that the order takes over: it needs exactly the products and quantities of the hold, and no other stock. If the hold has ended, the
   * answer is INVALID_STATE, and nothing is ordered.
   */
  holdId?: string | null | undefined;
  /** A key that the client makes up: the same key is never executed twice, a repeat returns the first result. */
  idempotencyKey: string;
  /** The products, each once. */
  lines: Array<OrderLineInput>;
  /** How to pay at once; without it the order waits for payOrder. */
  payment?: PaymentInput | null | undefined;
  /** Where the products go. The order keeps it as it is given here. */
  shippingAddress?: AddressInput | null | undefined;
  /** False asks for a ticket at once where the stock is served from a waiting line (the strategy QUEUE); others answer as always. */
  wait?: boolean | null | undefined;
};

/** A range of prices, in minor units of the shop's currency. */
export type PriceRangeFilter = {
  /** The highest price; without it, there is none. */
  maxMinor?: string | null | undefined;
  /** The lowest price; without it, there is none. */
  minMinor?: string | null | undefined;
};

/** Which products to list. */
export type ProductFilter = {
  /**
   * True leaves out what is sold out, and false leaves out what is not. It goes by the database: under the strategies LUA and QUEUE, it is
   * behind by what is under way.
   */
  available?: boolean | null | undefined;
  /** A category: products that are in it or in one beneath it. Of one that does not exist, there are none. */
  categoryId?: string | null | undefined;
  /** Also list products that are off sale. For administrators. */
  includeArchived?: boolean | null | undefined;
  /** A range of prices. */
  price?: PriceRangeFilter | null | undefined;
  /** What kind of product it is, in any case; at most 255 characters. Empty finds all. */
  productType?: string | null | undefined;
  /** Words, of which each must be the beginning of a word of the name, the SKU, the vendor, the type or a tag, in any case, with or without accents; at most 255 characters. Empty finds all. */
  search?: string | null | undefined;
  /** A tag, in any case; at most 255 characters. Empty finds all. */
  tag?: string | null | undefined;
  /** Who makes or sells it, in any case; at most 255 characters. Empty finds all. */
  vendor?: string | null | undefined;
};

/** How far the money of a refund has come. */
export type RefundStatus =
  /** It could not be given back. The amount may be refunded anew. */
  | 'FAILED'
  /** It was given back, or there was none to give back. */
  | 'REFUNDED'
  /** It is about to be given back. */
  | 'REFUNDING'
  /** An answer of the gateway is missing; the shop asks again. */
  | 'UNKNOWN';

/** How changes of the same number are kept apart. */
export type Strategy =
  /** No lock: one conditional UPDATE, decided by the database. */
  | 'ATOMICSQL'
  /** Row locks, and one commit for all changes that have come in during the commit before. */
  | 'GROUPCOMMIT'
  /** No lock: a script admits the change in Redis, and the database follows. */
  | 'LUA'
  /** Not at all: the control of experiments, which loses updates. */
  | 'NONE'
  /** No lock: versions are compared on writing, and the loser tries again. */
  | 'OPTIMISTIC'
  /** A Redis lock whose release is announced to those who wait. */
  | 'PUBSUB'
  /** No lock: one worker serves a waiting line, in the order of arrival. */
  | 'QUEUE'
  /** Redsync's lock, over one Redis node or a majority of several. */
  | 'REDSYNC'
  /** The database's row locks, SELECT ... FOR UPDATE in key order. */
  | 'ROWLOCK'
  /** A Redis lock of one SET NX PX command, asked for again until it is free. */
  | 'SETNX';

/** How far the order of a ticket has come. */
export type TicketStatus =
  /** Its order is placed, and paid if that was asked for: see the result. */
  | 'DONE'
  /** Nobody looked at the ticket for too long. */
  | 'EXPIRED'
  /** It was refused, or its coupon or payment was: see userErrors. */
  | 'FAILED'
  /** It is being served: its place cannot be given up any more. Its order is placed, and paid if that was asked for, by itself. */
  | 'SERVING'
  /** It stands in line. */
  | 'WAITING';

/** Money to move. */
export type TransferInput = {
  /** How much, in the currency of both accounts. */
  amount: MoneyInput;
  /** An account of the caller. */
  fromAccountId: string;
  /** A key that the client makes up: the same key is never executed twice, a repeat returns the first result. */
  idempotencyKey: string;
  /** Any other account of the same currency. */
  toAccountId: string;
};

export type PriceFragment = { amountMinor: string, currency: string, minorDigits: number };

export type ProductCardFragment = { id: string, sku: string, name: string, description: string, vendor: string | null, tags: Array<string>, featuredImage: { url: string, altText: string | null } | null, price: { amountMinor: string, currency: string, minorDigits: number }, stock: { available: string } | null };

export type ProductStockFragment = { id: string, stock: { available: string } | null };

type Refusal_ContentionError_Fragment = { __typename: 'ContentionError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null };

type Refusal_CouponExhaustedError_Fragment = { __typename: 'CouponExhaustedError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null };

type Refusal_InputError_Fragment = { __typename: 'InputError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null };

type Refusal_InsufficientFundsError_Fragment = { __typename: 'InsufficientFundsError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null };

type Refusal_OutOfStockError_Fragment = { __typename: 'OutOfStockError', productId: string, available: string, code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null };

type Refusal_PaymentDeclinedError_Fragment = { __typename: 'PaymentDeclinedError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null };

type Refusal_PaymentMethodError_Fragment = { __typename: 'PaymentMethodError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null };

type Refusal_PriceChangedError_Fragment = { __typename: 'PriceChangedError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null };

type Refusal_PurchaseLimitError_Fragment = { __typename: 'PurchaseLimitError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null };

type Refusal_UnavailableError_Fragment = { __typename: 'UnavailableError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null };

type Refusal_VersionConflictError_Fragment = { __typename: 'VersionConflictError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null };

export type RefusalFragment =
  | Refusal_ContentionError_Fragment
  | Refusal_CouponExhaustedError_Fragment
  | Refusal_InputError_Fragment
  | Refusal_InsufficientFundsError_Fragment
  | Refusal_OutOfStockError_Fragment
  | Refusal_PaymentDeclinedError_Fragment
  | Refusal_PaymentMethodError_Fragment
  | Refusal_PriceChangedError_Fragment
  | Refusal_PurchaseLimitError_Fragment
  | Refusal_UnavailableError_Fragment
  | Refusal_VersionConflictError_Fragment
;

export type ServedFragment = { strategy: Strategy, attempts: number, lockWaitMs: number, totalMs: number, persistence: PersistenceState, replayed: boolean };

export type OrderCardFragment = { id: string, status: OrderStatus, createdAt: string, expiresAt: string, fulfilment: OrderFulfilment, fulfilledAt: string | null, tracking: string | null, total: { amountMinor: string, currency: string, minorDigits: number }, discount: { amountMinor: string, currency: string, minorDigits: number }, lines: Array<{ quantity: string, returned: string, product: { id: string, name: string }, total: { amountMinor: string, currency: string, minorDigits: number } }>, payment: { id: string, method: PaymentMethod, status: PaymentStatus } | null, failure: { reason: string } | null };

export type OrderDetailsFragment = { id: string, paymentAttempts: Array<{ id: string, status: PaymentAttemptStatus, reason: string | null, action: { redirectUrl: string | null } | null }> | null, refunds: Array<{ id: string, status: RefundStatus, reason: string, createdAt: string, amount: { amountMinor: string, currency: string, minorDigits: number } }> | null };

export type HeldCouponFragment = { id: string, status: CouponIssueStatus, coupon: { id: string, name: string, discountKind: DiscountKind, discountValue: string } };

export type AccountBalanceFragment = { id: string, name: string, balance: { amountMinor: string, currency: string, minorDigits: number } | null };

export type JournalFragment = { edges: Array<{ cursor: string, node: { id: string, delta: string, amountAfter: string, kind: EntryKind, createdAt: string } }>, pageInfo: { hasNextPage: boolean, endCursor: string | null } };

export type TicketFragment = { id: string, status: TicketStatus, position: number, etaMs: number | null, result: { id: string, status: OrderStatus, createdAt: string, expiresAt: string, fulfilment: OrderFulfilment, fulfilledAt: string | null, tracking: string | null, total: { amountMinor: string, currency: string, minorDigits: number }, discount: { amountMinor: string, currency: string, minorDigits: number }, lines: Array<{ quantity: string, returned: string, product: { id: string, name: string }, total: { amountMinor: string, currency: string, minorDigits: number } }>, payment: { id: string, method: PaymentMethod, status: PaymentStatus } | null, failure: { reason: string } | null } | null, userErrors: Array<
    | { __typename: 'ContentionError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
    | { __typename: 'CouponExhaustedError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
    | { __typename: 'InputError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
    | { __typename: 'InsufficientFundsError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
    | { __typename: 'OutOfStockError', productId: string, available: string, code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
    | { __typename: 'PaymentDeclinedError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
    | { __typename: 'PaymentMethodError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
    | { __typename: 'PriceChangedError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
    | { __typename: 'PurchaseLimitError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
    | { __typename: 'UnavailableError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
    | { __typename: 'VersionConflictError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
  > };

export type ProductsQueryVariables = Exact<{
  first: number;
  after?: string | null | undefined;
  filter: ProductFilter;
}>;


export type ProductsQuery = { products: { edges: Array<{ cursor: string, node: { id: string, sku: string, name: string, description: string, vendor: string | null, tags: Array<string>, featuredImage: { url: string, altText: string | null } | null, price: { amountMinor: string, currency: string, minorDigits: number }, stock: { available: string } | null } }>, pageInfo: { hasNextPage: boolean, endCursor: string | null } } | null };

export type CategoriesQueryVariables = Exact<{ [key: string]: never; }>;


export type CategoriesQuery = { categories: { nodes: Array<{ id: string, name: string, parent: { id: string } | null }> } | null };

export type ProductQueryVariables = Exact<{
  id: string;
}>;


export type ProductQuery = { product: { id: string, sku: string, name: string, description: string, vendor: string | null, tags: Array<string>, featuredImage: { url: string, altText: string | null } | null, price: { amountMinor: string, currency: string, minorDigits: number }, stock: { available: string } | null } | null };

export type ProductStocksQueryVariables = Exact<{
  first: number;
  filter: ProductFilter;
}>;


export type ProductStocksQuery = { products: { nodes: Array<{ id: string, stock: { available: string } | null }> } | null };

export type StockChangedSubscriptionVariables = Exact<{
  productIds: Array<string> | string;
}>;


export type StockChangedSubscription = { stockChanged: { id: string, stock: { available: string } | null } };

export type OfferFragment = { paymentMethods: Array<PaymentMethod>, paymentsSimulated: boolean, pointsPrice: { amountMinor: string, currency: string, minorDigits: number } };

export type CheckoutQueryVariables = Exact<{ [key: string]: never; }>;


export type CheckoutQuery = { strategies: Array<{ family: Family, strategy: Strategy }>, shop: { paymentMethods: Array<PaymentMethod>, paymentsSimulated: boolean, pointsPrice: { amountMinor: string, currency: string, minorDigits: number } }, me: { id: string, wallet: { id: string, balance: string | null }, accounts: { nodes: Array<{ id: string, name: string, balance: { amountMinor: string, currency: string, minorDigits: number } | null }> } | null, couponIssues: { nodes: Array<{ id: string, status: CouponIssueStatus, coupon: { id: string, name: string, discountKind: DiscountKind, discountValue: string } }> } | null } | null };

export type ToConfirmFragment = { id: string, status: PaymentAttemptStatus, reason: string | null, action: { redirectUrl: string | null } | null };

export type PlaceOrderMutationVariables = Exact<{
  input: PlaceOrderInput;
}>;


export type PlaceOrderMutation = { placeOrder: { order: { id: string, status: OrderStatus, createdAt: string, expiresAt: string, fulfilment: OrderFulfilment, fulfilledAt: string | null, tracking: string | null, total: { amountMinor: string, currency: string, minorDigits: number }, discount: { amountMinor: string, currency: string, minorDigits: number }, lines: Array<{ quantity: string, returned: string, product: { id: string, name: string }, total: { amountMinor: string, currency: string, minorDigits: number } }>, payment: { id: string, method: PaymentMethod, status: PaymentStatus } | null, failure: { reason: string } | null } | null, products: Array<{ id: string, stock: { available: string } | null }>, wallet: { id: string, balance: string | null } | null, account: { id: string, name: string, balance: { amountMinor: string, currency: string, minorDigits: number } | null } | null, couponIssue: { id: string, status: CouponIssueStatus, coupon: { id: string, name: string, discountKind: DiscountKind, discountValue: string } } | null, ticket: { id: string, status: TicketStatus, position: number, etaMs: number | null, result: { id: string, status: OrderStatus, createdAt: string, expiresAt: string, fulfilment: OrderFulfilment, fulfilledAt: string | null, tracking: string | null, total: { amountMinor: string, currency: string, minorDigits: number }, discount: { amountMinor: string, currency: string, minorDigits: number }, lines: Array<{ quantity: string, returned: string, product: { id: string, name: string }, total: { amountMinor: string, currency: string, minorDigits: number } }>, payment: { id: string, method: PaymentMethod, status: PaymentStatus } | null, failure: { reason: string } | null } | null, userErrors: Array<
        | { __typename: 'ContentionError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
        | { __typename: 'CouponExhaustedError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
        | { __typename: 'InputError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
        | { __typename: 'InsufficientFundsError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
        | { __typename: 'OutOfStockError', productId: string, available: string, code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
        | { __typename: 'PaymentDeclinedError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
        | { __typename: 'PaymentMethodError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
        | { __typename: 'PriceChangedError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
        | { __typename: 'PurchaseLimitError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
        | { __typename: 'UnavailableError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
        | { __typename: 'VersionConflictError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      > } | null, attempt: { id: string, status: PaymentAttemptStatus, reason: string | null, action: { redirectUrl: string | null } | null } | null, meta: { strategy: Strategy, attempts: number, lockWaitMs: number, totalMs: number, persistence: PersistenceState, replayed: boolean }, userErrors: Array<
      | { __typename: 'ContentionError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'CouponExhaustedError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'InputError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'InsufficientFundsError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'OutOfStockError', productId: string, available: string, code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'PaymentDeclinedError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'PaymentMethodError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'PriceChangedError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'PurchaseLimitError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'UnavailableError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'VersionConflictError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
    > } | null };

export type QueueTicketQueryVariables = Exact<{
  id: string;
}>;


export type QueueTicketQuery = { queueTicket: { id: string, status: TicketStatus, position: number, etaMs: number | null, result: { id: string, status: OrderStatus, createdAt: string, expiresAt: string, fulfilment: OrderFulfilment, fulfilledAt: string | null, tracking: string | null, total: { amountMinor: string, currency: string, minorDigits: number }, discount: { amountMinor: string, currency: string, minorDigits: number }, lines: Array<{ quantity: string, returned: string, product: { id: string, name: string }, total: { amountMinor: string, currency: string, minorDigits: number } }>, payment: { id: string, method: PaymentMethod, status: PaymentStatus } | null, failure: { reason: string } | null } | null, userErrors: Array<
      | { __typename: 'ContentionError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'CouponExhaustedError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'InputError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'InsufficientFundsError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'OutOfStockError', productId: string, available: string, code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'PaymentDeclinedError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'PaymentMethodError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'PriceChangedError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'PurchaseLimitError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'UnavailableError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'VersionConflictError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
    > } | null };

export type QueueTicketUpdatedSubscriptionVariables = Exact<{
  id: string;
}>;


export type QueueTicketUpdatedSubscription = { queueTicketUpdated: { id: string, status: TicketStatus, position: number, etaMs: number | null, result: { id: string, status: OrderStatus, createdAt: string, expiresAt: string, fulfilment: OrderFulfilment, fulfilledAt: string | null, tracking: string | null, total: { amountMinor: string, currency: string, minorDigits: number }, discount: { amountMinor: string, currency: string, minorDigits: number }, lines: Array<{ quantity: string, returned: string, product: { id: string, name: string }, total: { amountMinor: string, currency: string, minorDigits: number } }>, payment: { id: string, method: PaymentMethod, status: PaymentStatus } | null, failure: { reason: string } | null } | null, userErrors: Array<
      | { __typename: 'ContentionError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'CouponExhaustedError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'InputError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'InsufficientFundsError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'OutOfStockError', productId: string, available: string, code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'PaymentDeclinedError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'PaymentMethodError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'PriceChangedError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'PurchaseLimitError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'UnavailableError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'VersionConflictError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
    > } };

export type OrdersQueryVariables = Exact<{
  first: number;
  after?: string | null | undefined;
}>;


export type OrdersQuery = { shop: { paymentMethods: Array<PaymentMethod>, paymentsSimulated: boolean, pointsPrice: { amountMinor: string, currency: string, minorDigits: number } }, me: { id: string, wallet: { id: string, balance: string | null }, orders: { edges: Array<{ cursor: string, node: { id: string, status: OrderStatus, createdAt: string, expiresAt: string, fulfilment: OrderFulfilment, fulfilledAt: string | null, tracking: string | null, total: { amountMinor: string, currency: string, minorDigits: number }, discount: { amountMinor: string, currency: string, minorDigits: number }, lines: Array<{ quantity: string, returned: string, product: { id: string, name: string }, total: { amountMinor: string, currency: string, minorDigits: number } }>, payment: { id: string, method: PaymentMethod, status: PaymentStatus } | null, failure: { reason: string } | null } }>, pageInfo: { hasNextPage: boolean, endCursor: string | null } } | null } | null };

export type OrderDetailsQueryVariables = Exact<{
  id: string;
}>;


export type OrderDetailsQuery = { order: { id: string, paymentAttempts: Array<{ id: string, status: PaymentAttemptStatus, reason: string | null, action: { redirectUrl: string | null } | null }> | null, refunds: Array<{ id: string, status: RefundStatus, reason: string, createdAt: string, amount: { amountMinor: string, currency: string, minorDigits: number } }> | null } | null };

export type PayOrderMutationVariables = Exact<{
  input: PayOrderInput;
}>;


export type PayOrderMutation = { payOrder: { order: { id: string, status: OrderStatus, createdAt: string, expiresAt: string, fulfilment: OrderFulfilment, fulfilledAt: string | null, tracking: string | null, total: { amountMinor: string, currency: string, minorDigits: number }, discount: { amountMinor: string, currency: string, minorDigits: number }, lines: Array<{ quantity: string, returned: string, product: { id: string, name: string }, total: { amountMinor: string, currency: string, minorDigits: number } }>, payment: { id: string, method: PaymentMethod, status: PaymentStatus } | null, failure: { reason: string } | null, paymentAttempts: Array<{ id: string, status: PaymentAttemptStatus, reason: string | null, action: { redirectUrl: string | null } | null }> | null, refunds: Array<{ id: string, status: RefundStatus, reason: string, createdAt: string, amount: { amountMinor: string, currency: string, minorDigits: number } }> | null } | null, attempt: { id: string, status: PaymentAttemptStatus, reason: string | null, action: { redirectUrl: string | null } | null } | null, products: Array<{ id: string, stock: { available: string } | null }>, wallet: { id: string, balance: string | null } | null, couponIssue: { id: string, status: CouponIssueStatus, coupon: { id: string, name: string, discountKind: DiscountKind, discountValue: string } } | null, meta: { strategy: Strategy, attempts: number, lockWaitMs: number, totalMs: number, persistence: PersistenceState, replayed: boolean }, userErrors: Array<
      | { __typename: 'ContentionError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'CouponExhaustedError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'InputError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'InsufficientFundsError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'OutOfStockError', productId: string, available: string, code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'PaymentDeclinedError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'PaymentMethodError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'PriceChangedError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'PurchaseLimitError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'UnavailableError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'VersionConflictError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
    > } | null };

export type CancelOrderMutationVariables = Exact<{
  input: CancelOrderInput;
}>;


export type CancelOrderMutation = { cancelOrder: { order: { id: string, status: OrderStatus, createdAt: string, expiresAt: string, fulfilment: OrderFulfilment, fulfilledAt: string | null, tracking: string | null, total: { amountMinor: string, currency: string, minorDigits: number }, discount: { amountMinor: string, currency: string, minorDigits: number }, lines: Array<{ quantity: string, returned: string, product: { id: string, name: string }, total: { amountMinor: string, currency: string, minorDigits: number } }>, payment: { id: string, method: PaymentMethod, status: PaymentStatus } | null, failure: { reason: string } | null } | null, products: Array<{ id: string, stock: { available: string } | null }>, wallet: { id: string, balance: string | null } | null, account: { id: string, name: string, balance: { amountMinor: string, currency: string, minorDigits: number } | null } | null, couponIssue: { id: string, status: CouponIssueStatus, coupon: { id: string, name: string, discountKind: DiscountKind, discountValue: string } } | null, meta: { strategy: Strategy, attempts: number, lockWaitMs: number, totalMs: number, persistence: PersistenceState, replayed: boolean }, userErrors: Array<
      | { __typename: 'ContentionError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'CouponExhaustedError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'InputError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'InsufficientFundsError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'OutOfStockError', productId: string, available: string, code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'PaymentDeclinedError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'PaymentMethodError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'PriceChangedError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'PurchaseLimitError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'UnavailableError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'VersionConflictError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
    > } | null };

export type CouponsQueryVariables = Exact<{
  first: number;
  after?: string | null | undefined;
}>;


export type CouponsQuery = { coupons: { edges: Array<{ cursor: string, node: { id: string, name: string, quota: string, issued: string | null, perUserLimit: number } }>, pageInfo: { hasNextPage: boolean, endCursor: string | null } } | null, me: { id: string, couponIssues: { nodes: Array<{ id: string, status: CouponIssueStatus, coupon: { id: string, name: string, discountKind: DiscountKind, discountValue: string } }> } | null } | null };

export type IssueCouponMutationVariables = Exact<{
  input: IssueCouponInput;
}>;


export type IssueCouponMutation = { issueCoupon: { couponIssue: { id: string, status: CouponIssueStatus, coupon: { id: string, name: string, discountKind: DiscountKind, discountValue: string } } | null, coupon: { id: string, quota: string, issued: string | null } | null, meta: { strategy: Strategy, attempts: number, lockWaitMs: number, totalMs: number, persistence: PersistenceState, replayed: boolean }, userErrors: Array<
      | { __typename: 'ContentionError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'CouponExhaustedError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'InputError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'InsufficientFundsError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'OutOfStockError', productId: string, available: string, code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'PaymentDeclinedError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'PaymentMethodError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'PriceChangedError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'PurchaseLimitError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'UnavailableError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'VersionConflictError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
    > } | null };

export type PointsQueryVariables = Exact<{
  first: number;
  after?: string | null | undefined;
}>;


export type PointsQuery = { shop: { paymentMethods: Array<PaymentMethod>, paymentsSimulated: boolean, pointsPrice: { amountMinor: string, currency: string, minorDigits: number } }, me: { id: string, wallet: { id: string, balance: string | null, entries: { edges: Array<{ cursor: string, node: { id: string, delta: string, amountAfter: string, kind: EntryKind, createdAt: string } }>, pageInfo: { hasNextPage: boolean, endCursor: string | null } } | null } } | null };

export type ChargePointsMutationVariables = Exact<{
  input: ChargePointsInput;
  first: number;
}>;


export type ChargePointsMutation = { chargePoints: { wallet: { id: string, balance: string | null, entries: { edges: Array<{ cursor: string, node: { id: string, delta: string, amountAfter: string, kind: EntryKind, createdAt: string } }>, pageInfo: { hasNextPage: boolean, endCursor: string | null } } | null } | null, attempt: { id: string, status: PaymentAttemptStatus, reason: string | null, action: { redirectUrl: string | null } | null } | null, meta: { strategy: Strategy, attempts: number, lockWaitMs: number, totalMs: number, persistence: PersistenceState, replayed: boolean }, userErrors: Array<
      | { __typename: 'ContentionError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'CouponExhaustedError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'InputError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'InsufficientFundsError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'OutOfStockError', productId: string, available: string, code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'PaymentDeclinedError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'PaymentMethodError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'PriceChangedError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'PurchaseLimitError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'UnavailableError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'VersionConflictError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
    > } | null };

export type AccountsQueryVariables = Exact<{ [key: string]: never; }>;


export type AccountsQuery = { me: { id: string, accounts: { nodes: Array<{ id: string, name: string, balance: { amountMinor: string, currency: string, minorDigits: number } | null }> } | null } | null };

export type TransferMutationVariables = Exact<{
  input: TransferInput;
}>;


export type TransferMutation = { transfer: { transfer: { id: string, toAccountId: string, amount: { amountMinor: string, currency: string, minorDigits: number } } | null, fromAccount: { id: string, name: string, balance: { amountMinor: string, currency: string, minorDigits: number } | null } | null, toAccount: { id: string, name: string, balance: { amountMinor: string, currency: string, minorDigits: number } | null } | null, meta: { strategy: Strategy, attempts: number, lockWaitMs: number, totalMs: number, persistence: PersistenceState, replayed: boolean }, userErrors: Array<
      | { __typename: 'ContentionError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'CouponExhaustedError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'InputError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'InsufficientFundsError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'OutOfStockError', productId: string, available: string, code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'PaymentDeclinedError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'PaymentMethodError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'PriceChangedError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'PurchaseLimitError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'UnavailableError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
      | { __typename: 'VersionConflictError', code: ErrorCode, message: string, field: Array<string> | null, retryable: boolean, retryAfterMs: number | null }
    > } | null };

export const PriceFragmentDoc = {"kind":"Document","definitions":[{"kind":"FragmentDefinition","name":{"kind":"Name","value":"Price"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Money"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"amountMinor"}},{"kind":"Field","name":{"kind":"Name","value":"currency"}},{"kind":"Field","name":{"kind":"Name","value":"minorDigits"}}]}}]} as unknown as DocumentNode<PriceFragment, unknown>;
export const ProductCardFragmentDoc = {"kind":"Document","definitions":[{"kind":"FragmentDefinition","name":{"kind":"Name","value":"ProductCard"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Product"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"sku"}},{"kind":"Field","name":{"kind":"Name","value":"name"}},{"kind":"Field","name":{"kind":"Name","value":"description"}},{"kind":"Field","name":{"kind":"Name","value":"vendor"}},{"kind":"Field","name":{"kind":"Name","value":"tags"}},{"kind":"Field","name":{"kind":"Name","value":"featuredImage"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"url"}},{"kind":"Field","name":{"kind":"Name","value":"altText"}}]}},{"kind":"Field","name":{"kind":"Name","value":"price"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"Price"}}]}},{"kind":"Field","name":{"kind":"Name","value":"stock"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"available"}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"Price"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Money"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"amountMinor"}},{"kind":"Field","name":{"kind":"Name","value":"currency"}},{"kind":"Field","name":{"kind":"Name","value":"minorDigits"}}]}}]} as unknown as DocumentNode<ProductCardFragment, unknown>;
export const ProductStockFragmentDoc = {"kind":"Document","definitions":[{"kind":"FragmentDefinition","name":{"kind":"Name","value":"ProductStock"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Product"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"stock"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"available"}}]}}]}}]} as unknown as DocumentNode<ProductStockFragment, unknown>;
export const ServedFragmentDoc = {"kind":"Document","definitions":[{"kind":"FragmentDefinition","name":{"kind":"Name","value":"Served"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"OperationMeta"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"strategy"}},{"kind":"Field","name":{"kind":"Name","value":"attempts"}},{"kind":"Field","name":{"kind":"Name","value":"lockWaitMs"}},{"kind":"Field","name":{"kind":"Name","value":"totalMs"}},{"kind":"Field","name":{"kind":"Name","value":"persistence"}},{"kind":"Field","name":{"kind":"Name","value":"replayed"}}]}}]} as unknown as DocumentNode<ServedFragment, unknown>;
export const ToConfirmFragmentDoc = {"kind":"Document","definitions":[{"kind":"FragmentDefinition","name":{"kind":"Name","value":"ToConfirm"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"PaymentAttempt"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"status"}},{"kind":"Field","name":{"kind":"Name","value":"reason"}},{"kind":"Field","name":{"kind":"Name","value":"action"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"redirectUrl"}}]}}]}}]} as unknown as DocumentNode<ToConfirmFragment, unknown>;
export const OrderDetailsFragmentDoc = {"kind":"Document","definitions":[{"kind":"FragmentDefinition","name":{"kind":"Name","value":"OrderDetails"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Order"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"paymentAttempts"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"ToConfirm"}}]}},{"kind":"Field","name":{"kind":"Name","value":"refunds"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"status"}},{"kind":"Field","name":{"kind":"Name","value":"amount"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"Price"}}]}},{"kind":"Field","name":{"kind":"Name","value":"reason"}},{"kind":"Field","name":{"kind":"Name","value":"createdAt"}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"ToConfirm"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"PaymentAttempt"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"status"}},{"kind":"Field","name":{"kind":"Name","value":"reason"}},{"kind":"Field","name":{"kind":"Name","value":"action"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"redirectUrl"}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"Price"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Money"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"amountMinor"}},{"kind":"Field","name":{"kind":"Name","value":"currency"}},{"kind":"Field","name":{"kind":"Name","value":"minorDigits"}}]}}]} as unknown as DocumentNode<OrderDetailsFragment, unknown>;
export const HeldCouponFragmentDoc = {"kind":"Document","definitions":[{"kind":"FragmentDefinition","name":{"kind":"Name","value":"HeldCoupon"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"CouponIssue"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"status"}},{"kind":"Field","name":{"kind":"Name","value":"coupon"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"name"}},{"kind":"Field","name":{"kind":"Name","value":"discountKind"}},{"kind":"Field","name":{"kind":"Name","value":"discountValue"}}]}}]}}]} as unknown as DocumentNode<HeldCouponFragment, unknown>;
export const AccountBalanceFragmentDoc = {"kind":"Document","definitions":[{"kind":"FragmentDefinition","name":{"kind":"Name","value":"AccountBalance"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Account"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"name"}},{"kind":"Field","name":{"kind":"Name","value":"balance"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"Price"}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"Price"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Money"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"amountMinor"}},{"kind":"Field","name":{"kind":"Name","value":"currency"}},{"kind":"Field","name":{"kind":"Name","value":"minorDigits"}}]}}]} as unknown as DocumentNode<AccountBalanceFragment, unknown>;
export const JournalFragmentDoc = {"kind":"Document","definitions":[{"kind":"FragmentDefinition","name":{"kind":"Name","value":"Journal"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"EntryConnection"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"edges"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"cursor"}},{"kind":"Field","name":{"kind":"Name","value":"node"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"delta"}},{"kind":"Field","name":{"kind":"Name","value":"amountAfter"}},{"kind":"Field","name":{"kind":"Name","value":"kind"}},{"kind":"Field","name":{"kind":"Name","value":"createdAt"}}]}}]}},{"kind":"Field","name":{"kind":"Name","value":"pageInfo"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"hasNextPage"}},{"kind":"Field","name":{"kind":"Name","value":"endCursor"}}]}}]}}]} as unknown as DocumentNode<JournalFragment, unknown>;
export const OrderCardFragmentDoc = {"kind":"Document","definitions":[{"kind":"FragmentDefinition","name":{"kind":"Name","value":"OrderCard"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Order"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"status"}},{"kind":"Field","name":{"kind":"Name","value":"createdAt"}},{"kind":"Field","name":{"kind":"Name","value":"expiresAt"}},{"kind":"Field","name":{"kind":"Name","value":"total"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"Price"}}]}},{"kind":"Field","name":{"kind":"Name","value":"discount"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"Price"}}]}},{"kind":"Field","name":{"kind":"Name","value":"lines"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"quantity"}},{"kind":"Field","name":{"kind":"Name","value":"returned"}},{"kind":"Field","name":{"kind":"Name","value":"product"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"name"}}]}},{"kind":"Field","name":{"kind":"Name","value":"total"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"Price"}}]}}]}},{"kind":"Field","name":{"kind":"Name","value":"payment"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"method"}},{"kind":"Field","name":{"kind":"Name","value":"status"}}]}},{"kind":"Field","name":{"kind":"Name","value":"fulfilment"}},{"kind":"Field","name":{"kind":"Name","value":"fulfilledAt"}},{"kind":"Field","name":{"kind":"Name","value":"tracking"}},{"kind":"Field","name":{"kind":"Name","value":"failure"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"reason"}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"Price"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Money"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"amountMinor"}},{"kind":"Field","name":{"kind":"Name","value":"currency"}},{"kind":"Field","name":{"kind":"Name","value":"minorDigits"}}]}}]} as unknown as DocumentNode<OrderCardFragment, unknown>;
export const RefusalFragmentDoc = {"kind":"Document","definitions":[{"kind":"FragmentDefinition","name":{"kind":"Name","value":"Refusal"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"UserError"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"__typename"}},{"kind":"Field","name":{"kind":"Name","value":"code"}},{"kind":"Field","name":{"kind":"Name","value":"message"}},{"kind":"Field","name":{"kind":"Name","value":"field"}},{"kind":"Field","name":{"kind":"Name","value":"retryable"}},{"kind":"Field","name":{"kind":"Name","value":"retryAfterMs"}},{"kind":"InlineFragment","typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"OutOfStockError"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"productId"}},{"kind":"Field","name":{"kind":"Name","value":"available"}}]}}]}}]} as unknown as DocumentNode<RefusalFragment, unknown>;
export const TicketFragmentDoc = {"kind":"Document","definitions":[{"kind":"FragmentDefinition","name":{"kind":"Name","value":"Ticket"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"QueueTicket"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"status"}},{"kind":"Field","name":{"kind":"Name","value":"position"}},{"kind":"Field","name":{"kind":"Name","value":"etaMs"}},{"kind":"Field","name":{"kind":"Name","value":"result"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"OrderCard"}}]}},{"kind":"Field","name":{"kind":"Name","value":"userErrors"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"Refusal"}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"Price"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Money"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"amountMinor"}},{"kind":"Field","name":{"kind":"Name","value":"currency"}},{"kind":"Field","name":{"kind":"Name","value":"minorDigits"}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"OrderCard"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Order"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"status"}},{"kind":"Field","name":{"kind":"Name","value":"createdAt"}},{"kind":"Field","name":{"kind":"Name","value":"expiresAt"}},{"kind":"Field","name":{"kind":"Name","value":"total"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"Price"}}]}},{"kind":"Field","name":{"kind":"Name","value":"discount"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"Price"}}]}},{"kind":"Field","name":{"kind":"Name","value":"lines"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"quantity"}},{"kind":"Field","name":{"kind":"Name","value":"returned"}},{"kind":"Field","name":{"kind":"Name","value":"product"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"name"}}]}},{"kind":"Field","name":{"kind":"Name","value":"total"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"Price"}}]}}]}},{"kind":"Field","name":{"kind":"Name","value":"payment"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"method"}},{"kind":"Field","name":{"kind":"Name","value":"status"}}]}},{"kind":"Field","name":{"kind":"Name","value":"fulfilment"}},{"kind":"Field","name":{"kind":"Name","value":"fulfilledAt"}},{"kind":"Field","name":{"kind":"Name","value":"tracking"}},{"kind":"Field","name":{"kind":"Name","value":"failure"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"reason"}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"Refusal"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"UserError"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"__typename"}},{"kind":"Field","name":{"kind":"Name","value":"code"}},{"kind":"Field","name":{"kind":"Name","value":"message"}},{"kind":"Field","name":{"kind":"Name","value":"field"}},{"kind":"Field","name":{"kind":"Name","value":"retryable"}},{"kind":"Field","name":{"kind":"Name","value":"retryAfterMs"}},{"kind":"InlineFragment","typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"OutOfStockError"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"productId"}},{"kind":"Field","name":{"kind":"Name","value":"available"}}]}}]}}]} as unknown as DocumentNode<TicketFragment, unknown>;
export const OfferFragmentDoc = {"kind":"Document","definitions":[{"kind":"FragmentDefinition","name":{"kind":"Name","value":"Offer"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Shop"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"paymentMethods"}},{"kind":"Field","name":{"kind":"Name","value":"paymentsSimulated"}},{"kind":"Field","name":{"kind":"Name","value":"pointsPrice"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"Price"}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"Price"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Money"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"amountMinor"}},{"kind":"Field","name":{"kind":"Name","value":"currency"}},{"kind":"Field","name":{"kind":"Name","value":"minorDigits"}}]}}]} as unknown as DocumentNode<OfferFragment, unknown>;
export const ProductsDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"query","name":{"kind":"Name","value":"Products"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"first"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"Int"}}}},{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"after"}},"type":{"kind":"NamedType","name":{"kind":"Name","value":"String"}}},{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"filter"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"ProductFilter"}}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"products"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"first"},"value":{"kind":"Variable","name":{"kind":"Name","value":"first"}}},{"kind":"Argument","name":{"kind":"Name","value":"after"},"value":{"kind":"Variable","name":{"kind":"Name","value":"after"}}},{"kind":"Argument","name":{"kind":"Name","value":"filter"},"value":{"kind":"Variable","name":{"kind":"Name","value":"filter"}}},{"kind":"Argument","name":{"kind":"Name","value":"orderBy"},"value":{"kind":"EnumValue","value":"NAME"}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"edges"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"cursor"}},{"kind":"Field","name":{"kind":"Name","value":"node"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"ProductCard"}}]}}]}},{"kind":"Field","name":{"kind":"Name","value":"pageInfo"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"hasNextPage"}},{"kind":"Field","name":{"kind":"Name","value":"endCursor"}}]}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"Price"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Money"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"amountMinor"}},{"kind":"Field","name":{"kind":"Name","value":"currency"}},{"kind":"Field","name":{"kind":"Name","value":"minorDigits"}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"ProductCard"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Product"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"sku"}},{"kind":"Field","name":{"kind":"Name","value":"name"}},{"kind":"Field","name":{"kind":"Name","value":"description"}},{"kind":"Field","name":{"kind":"Name","value":"vendor"}},{"kind":"Field","name":{"kind":"Name","value":"tags"}},{"kind":"Field","name":{"kind":"Name","value":"featuredImage"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"url"}},{"kind":"Field","name":{"kind":"Name","value":"altText"}}]}},{"kind":"Field","name":{"kind":"Name","value":"price"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"Price"}}]}},{"kind":"Field","name":{"kind":"Name","value":"stock"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"available"}}]}}]}}]} as unknown as DocumentNode<ProductsQuery, ProductsQueryVariables>;
export const CategoriesDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"query","name":{"kind":"Name","value":"Categories"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"categories"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"first"},"value":{"kind":"IntValue","value":"100"}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"nodes"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"name"}},{"kind":"Field","name":{"kind":"Name","value":"parent"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}}]}}]}}]}}]}}]} as unknown as DocumentNode<CategoriesQuery, CategoriesQueryVariables>;
export const ProductDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"query","name":{"kind":"Name","value":"Product"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"id"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"ID"}}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"product"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"id"},"value":{"kind":"Variable","name":{"kind":"Name","value":"id"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"ProductCard"}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"Price"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Money"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"amountMinor"}},{"kind":"Field","name":{"kind":"Name","value":"currency"}},{"kind":"Field","name":{"kind":"Name","value":"minorDigits"}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"ProductCard"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Product"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"sku"}},{"kind":"Field","name":{"kind":"Name","value":"name"}},{"kind":"Field","name":{"kind":"Name","value":"description"}},{"kind":"Field","name":{"kind":"Name","value":"vendor"}},{"kind":"Field","name":{"kind":"Name","value":"tags"}},{"kind":"Field","name":{"kind":"Name","value":"featuredImage"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"url"}},{"kind":"Field","name":{"kind":"Name","value":"altText"}}]}},{"kind":"Field","name":{"kind":"Name","value":"price"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"Price"}}]}},{"kind":"Field","name":{"kind":"Name","value":"stock"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"available"}}]}}]}}]} as unknown as DocumentNode<ProductQuery, ProductQueryVariables>;
export const ProductStocksDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"query","name":{"kind":"Name","value":"ProductStocks"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"first"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"Int"}}}},{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"filter"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"ProductFilter"}}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"products"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"first"},"value":{"kind":"Variable","name":{"kind":"Name","value":"first"}}},{"kind":"Argument","name":{"kind":"Name","value":"filter"},"value":{"kind":"Variable","name":{"kind":"Name","value":"filter"}}},{"kind":"Argument","name":{"kind":"Name","value":"orderBy"},"value":{"kind":"EnumValue","value":"NAME"}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"nodes"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"ProductStock"}}]}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"ProductStock"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Product"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"stock"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"available"}}]}}]}}]} as unknown as DocumentNode<ProductStocksQuery, ProductStocksQueryVariables>;
export const StockChangedDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"subscription","name":{"kind":"Name","value":"StockChanged"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"productIds"}},"type":{"kind":"NonNullType","type":{"kind":"ListType","type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"ID"}}}}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"stockChanged"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"productIds"},"value":{"kind":"Variable","name":{"kind":"Name","value":"productIds"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"ProductStock"}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"ProductStock"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Product"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"stock"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"available"}}]}}]}}]} as unknown as DocumentNode<StockChangedSubscription, StockChangedSubscriptionVariables>;
export const CheckoutDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"query","name":{"kind":"Name","value":"Checkout"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"strategies"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"family"}},{"kind":"Field","name":{"kind":"Name","value":"strategy"}}]}},{"kind":"Field","name":{"kind":"Name","value":"shop"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"Offer"}}]}},{"kind":"Field","name":{"kind":"Name","value":"me"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"wallet"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"balance"}}]}},{"kind":"Field","name":{"kind":"Name","value":"accounts"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"first"},"value":{"kind":"IntValue","value":"100"}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"nodes"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"AccountBalance"}}]}}]}},{"kind":"Field","name":{"kind":"Name","value":"couponIssues"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"first"},"value":{"kind":"IntValue","value":"100"}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"nodes"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"HeldCoupon"}}]}}]}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"Price"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Money"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"amountMinor"}},{"kind":"Field","name":{"kind":"Name","value":"currency"}},{"kind":"Field","name":{"kind":"Name","value":"minorDigits"}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"Offer"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Shop"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"paymentMethods"}},{"kind":"Field","name":{"kind":"Name","value":"paymentsSimulated"}},{"kind":"Field","name":{"kind":"Name","value":"pointsPrice"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"Price"}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"AccountBalance"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Account"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"name"}},{"kind":"Field","name":{"kind":"Name","value":"balance"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"Price"}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"HeldCoupon"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"CouponIssue"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"status"}},{"kind":"Field","name":{"kind":"Name","value":"coupon"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"name"}},{"kind":"Field","name":{"kind":"Name","value":"discountKind"}},{"kind":"Field","name":{"kind":"Name","value":"discountValue"}}]}}]}}]} as unknown as DocumentNode<CheckoutQuery, CheckoutQueryVariables>;
export const PlaceOrderDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"mutation","name":{"kind":"Name","value":"PlaceOrder"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"input"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"PlaceOrderInput"}}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"placeOrder"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"input"},"value":{"kind":"Variable","name":{"kind":"Name","value":"input"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"order"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"OrderCard"}}]}},{"kind":"Field","name":{"kind":"Name","value":"products"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"ProductStock"}}]}},{"kind":"Field","name":{"kind":"Name","value":"wallet"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"balance"}}]}},{"kind":"Field","name":{"kind":"Name","value":"account"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"AccountBalance"}}]}},{"kind":"Field","name":{"kind":"Name","value":"couponIssue"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"HeldCoupon"}}]}},{"kind":"Field","name":{"kind":"Name","value":"ticket"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"Ticket"}}]}},{"kind":"Field","name":{"kind":"Name","value":"attempt"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"ToConfirm"}}]}},{"kind":"Field","name":{"kind":"Name","value":"meta"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"Served"}}]}},{"kind":"Field","name":{"kind":"Name","value":"userErrors"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"Refusal"}}]}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"Price"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Money"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"amountMinor"}},{"kind":"Field","name":{"kind":"Name","value":"currency"}},{"kind":"Field","name":{"kind":"Name","value":"minorDigits"}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"OrderCard"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Order"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"status"}},{"kind":"Field","name":{"kind":"Name","value":"createdAt"}},{"kind":"Field","name":{"kind":"Name","value":"expiresAt"}},{"kind":"Field","name":{"kind":"Name","value":"total"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"Price"}}]}},{"kind":"Field","name":{"kind":"Name","value":"discount"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"Price"}}]}},{"kind":"Field","name":{"kind":"Name","value":"lines"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"quantity"}},{"kind":"Field","name":{"kind":"Name","value":"returned"}},{"kind":"Field","name":{"kind":"Name","value":"product"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"name"}}]}},{"kind":"Field","name":{"kind":"Name","value":"total"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"Price"}}]}}]}},{"kind":"Field","name":{"kind":"Name","value":"payment"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"method"}},{"kind":"Field","name":{"kind":"Name","value":"status"}}]}},{"kind":"Field","name":{"kind":"Name","value":"fulfilment"}},{"kind":"Field","name":{"kind":"Name","value":"fulfilledAt"}},{"kind":"Field","name":{"kind":"Name","value":"tracking"}},{"kind":"Field","name":{"kind":"Name","value":"failure"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"reason"}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"Refusal"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"UserError"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"__typename"}},{"kind":"Field","name":{"kind":"Name","value":"code"}},{"kind":"Field","name":{"kind":"Name","value":"message"}},{"kind":"Field","name":{"kind":"Name","value":"field"}},{"kind":"Field","name":{"kind":"Name","value":"retryable"}},{"kind":"Field","name":{"kind":"Name","value":"retryAfterMs"}},{"kind":"InlineFragment","typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"OutOfStockError"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"productId"}},{"kind":"Field","name":{"kind":"Name","value":"available"}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"ProductStock"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Product"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"stock"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"available"}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"AccountBalance"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Account"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"name"}},{"kind":"Field","name":{"kind":"Name","value":"balance"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"Price"}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"HeldCoupon"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"CouponIssue"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"status"}},{"kind":"Field","name":{"kind":"Name","value":"coupon"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"name"}},{"kind":"Field","name":{"kind":"Name","value":"discountKind"}},{"kind":"Field","name":{"kind":"Name","value":"discountValue"}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"Ticket"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"QueueTicket"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"status"}},{"kind":"Field","name":{"kind":"Name","value":"position"}},{"kind":"Field","name":{"kind":"Name","value":"etaMs"}},{"kind":"Field","name":{"kind":"Name","value":"result"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"OrderCard"}}]}},{"kind":"Field","name":{"kind":"Name","value":"userErrors"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"Refusal"}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"ToConfirm"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"PaymentAttempt"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"status"}},{"kind":"Field","name":{"kind":"Name","value":"reason"}},{"kind":"Field","name":{"kind":"Name","value":"action"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"redirectUrl"}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"Served"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"OperationMeta"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"strategy"}},{"kind":"Field","name":{"kind":"Name","value":"attempts"}},{"kind":"Field","name":{"kind":"Name","value":"lockWaitMs"}},{"kind":"Field","name":{"kind":"Name","value":"totalMs"}},{"kind":"Field","name":{"kind":"Name","value":"persistence"}},{"kind":"Field","name":{"kind":"Name","value":"replayed"}}]}}]} as unknown as DocumentNode<PlaceOrderMutation, PlaceOrderMutationVariables>;
export const QueueTicketDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"query","name":{"kind":"Name","value":"QueueTicket"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"id"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"ID"}}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"queueTicket"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"id"},"value":{"kind":"Variable","name":{"kind":"Name","value":"id"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"Ticket"}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"Price"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Money"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"amountMinor"}},{"kind":"Field","name":{"kind":"Name","value":"currency"}},{"kind":"Field","name":{"kind":"Name","value":"minorDigits"}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"OrderCard"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Order"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"status"}},{"kind":"Field","name":{"kind":"Name","value":"createdAt"}},{"kind":"Field","name":{"kind":"Name","value":"expiresAt"}},{"kind":"Field","name":{"kind":"Name","value":"total"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"Price"}}]}},{"kind":"Field","name":{"kind":"Name","value":"discount"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"Price"}}]}},{"kind":"Field","name":{"kind":"Name","value":"lines"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"quantity"}},{"kind":"Field","name":{"kind":"Name","value":"returned"}},{"kind":"Field","name":{"kind":"Name","value":"product"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"name"}}]}},{"kind":"Field","name":{"kind":"Name","value":"total"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"Price"}}]}}]}},{"kind":"Field","name":{"kind":"Name","value":"payment"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"method"}},{"kind":"Field","name":{"kind":"Name","value":"status"}}]}},{"kind":"Field","name":{"kind":"Name","value":"fulfilment"}},{"kind":"Field","name":{"kind":"Name","value":"fulfilledAt"}},{"kind":"Field","name":{"kind":"Name","value":"tracking"}},{"kind":"Field","name":{"kind":"Name","value":"failure"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"reason"}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"Refusal"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"UserError"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"__typename"}},{"kind":"Field","name":{"kind":"Name","value":"code"}},{"kind":"Field","name":{"kind":"Name","value":"message"}},{"kind":"Field","name":{"kind":"Name","value":"field"}},{"kind":"Field","name":{"kind":"Name","value":"retryable"}},{"kind":"Field","name":{"kind":"Name","value":"retryAfterMs"}},{"kind":"InlineFragment","typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"OutOfStockError"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"productId"}},{"kind":"Field","name":{"kind":"Name","value":"available"}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"Ticket"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"QueueTicket"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"status"}},{"kind":"Field","name":{"kind":"Name","value":"position"}},{"kind":"Field","name":{"kind":"Name","value":"etaMs"}},{"kind":"Field","name":{"kind":"Name","value":"result"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"OrderCard"}}]}},{"kind":"Field","name":{"kind":"Name","value":"userErrors"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"Refusal"}}]}}]}}]} as unknown as DocumentNode<QueueTicketQuery, QueueTicketQueryVariables>;
export const QueueTicketUpdatedDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"subscription","name":{"kind":"Name","value":"QueueTicketUpdated"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"id"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"ID"}}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"queueTicketUpdated"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"id"},"value":{"kind":"Variable","name":{"kind":"Name","value":"id"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"Ticket"}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"Price"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Money"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"amountMinor"}},{"kind":"Field","name":{"kind":"Name","value":"currency"}},{"kind":"Field","name":{"kind":"Name","value":"minorDigits"}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"OrderCard"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Order"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"status"}},{"kind":"Field","name":{"kind":"Name","value":"createdAt"}},{"kind":"Field","name":{"kind":"Name","value":"expiresAt"}},{"kind":"Field","name":{"kind":"Name","value":"total"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"Price"}}]}},{"kind":"Field","name":{"kind":"Name","value":"discount"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"Price"}}]}},{"kind":"Field","name":{"kind":"Name","value":"lines"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"quantity"}},{"kind":"Field","name":{"kind":"Name","value":"returned"}},{"kind":"Field","name":{"kind":"Name","value":"product"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"name"}}]}},{"kind":"Field","name":{"kind":"Name","value":"total"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"Price"}}]}}]}},{"kind":"Field","name":{"kind":"Name","value":"payment"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"method"}},{"kind":"Field","name":{"kind":"Name","value":"status"}}]}},{"kind":"Field","name":{"kind":"Name","value":"fulfilment"}},{"kind":"Field","name":{"kind":"Name","value":"fulfilledAt"}},{"kind":"Field","name":{"kind":"Name","value":"tracking"}},{"kind":"Field","name":{"kind":"Name","value":"failure"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"reason"}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"Refusal"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"UserError"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"__typename"}},{"kind":"Field","name":{"kind":"Name","value":"code"}},{"kind":"Field","name":{"kind":"Name","value":"message"}},{"kind":"Field","name":{"kind":"Name","value":"field"}},{"kind":"Field","name":{"kind":"Name","value":"retryable"}},{"kind":"Field","name":{"kind":"Name","value":"retryAfterMs"}},{"kind":"InlineFragment","typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"OutOfStockError"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"productId"}},{"kind":"Field","name":{"kind":"Name","value":"available"}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"Ticket"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"QueueTicket"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"status"}},{"kind":"Field","name":{"kind":"Name","value":"position"}},{"kind":"Field","name":{"kind":"Name","value":"etaMs"}},{"kind":"Field","name":{"kind":"Name","value":"result"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"OrderCard"}}]}},{"kind":"Field","name":{"kind":"Name","value":"userErrors"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"Refusal"}}]}}]}}]} as unknown as DocumentNode<QueueTicketUpdatedSubscription, QueueTicketUpdatedSubscriptionVariables>;
export const OrdersDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"query","name":{"kind":"Name","value":"Orders"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"first"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"Int"}}}},{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"after"}},"type":{"kind":"NamedType","name":{"kind":"Name","value":"String"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"shop"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"Offer"}}]}},{"kind":"Field","name":{"kind":"Name","value":"me"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"wallet"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"balance"}}]}},{"kind":"Field","name":{"kind":"Name","value":"orders"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"first"},"value":{"kind":"Variable","name":{"kind":"Name","value":"first"}}},{"kind":"Argument","name":{"kind":"Name","value":"after"},"value":{"kind":"Variable","name":{"kind":"Name","value":"after"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"edges"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"cursor"}},{"kind":"Field","name":{"kind":"Name","value":"node"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"OrderCard"}}]}}]}},{"kind":"Field","name":{"kind":"Name","value":"pageInfo"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"hasNextPage"}},{"kind":"Field","name":{"kind":"Name","value":"endCursor"}}]}}]}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"Price"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Money"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"amountMinor"}},{"kind":"Field","name":{"kind":"Name","value":"currency"}},{"kind":"Field","name":{"kind":"Name","value":"minorDigits"}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"Offer"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Shop"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"paymentMethods"}},{"kind":"Field","name":{"kind":"Name","value":"paymentsSimulated"}},{"kind":"Field","name":{"kind":"Name","value":"pointsPrice"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"Price"}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"OrderCard"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Order"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"status"}},{"kind":"Field","name":{"kind":"Name","value":"createdAt"}},{"kind":"Field","name":{"kind":"Name","value":"expiresAt"}},{"kind":"Field","name":{"kind":"Name","value":"total"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"Price"}}]}},{"kind":"Field","name":{"kind":"Name","value":"discount"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"Price"}}]}},{"kind":"Field","name":{"kind":"Name","value":"lines"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"quantity"}},{"kind":"Field","name":{"kind":"Name","value":"returned"}},{"kind":"Field","name":{"kind":"Name","value":"product"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"name"}}]}},{"kind":"Field","name":{"kind":"Name","value":"total"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"Price"}}]}}]}},{"kind":"Field","name":{"kind":"Name","value":"payment"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"method"}},{"kind":"Field","name":{"kind":"Name","value":"status"}}]}},{"kind":"Field","name":{"kind":"Name","value":"fulfilment"}},{"kind":"Field","name":{"kind":"Name","value":"fulfilledAt"}},{"kind":"Field","name":{"kind":"Name","value":"tracking"}},{"kind":"Field","name":{"kind":"Name","value":"failure"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"reason"}}]}}]}}]} as unknown as DocumentNode<OrdersQuery, OrdersQueryVariables>;
export const OrderDetailsDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"query","name":{"kind":"Name","value":"OrderDetails"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"id"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"ID"}}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"order"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"id"},"value":{"kind":"Variable","name":{"kind":"Name","value":"id"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"OrderDetails"}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"ToConfirm"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"PaymentAttempt"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"status"}},{"kind":"Field","name":{"kind":"Name","value":"reason"}},{"kind":"Field","name":{"kind":"Name","value":"action"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"redirectUrl"}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"Price"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Money"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"amountMinor"}},{"kind":"Field","name":{"kind":"Name","value":"currency"}},{"kind":"Field","name":{"kind":"Name","value":"minorDigits"}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"OrderDetails"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Order"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"paymentAttempts"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"ToConfirm"}}]}},{"kind":"Field","name":{"kind":"Name","value":"refunds"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"status"}},{"kind":"Field","name":{"kind":"Name","value":"amount"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"Price"}}]}},{"kind":"Field","name":{"kind":"Name","value":"reason"}},{"kind":"Field","name":{"kind":"Name","value":"createdAt"}}]}}]}}]} as unknown as DocumentNode<OrderDetailsQuery, OrderDetailsQueryVariables>;
export const PayOrderDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"mutation","name":{"kind":"Name","value":"PayOrder"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"input"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"PayOrderInput"}}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"payOrder"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"input"},"value":{"kind":"Variable","name":{"kind":"Name","value":"input"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"order"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"OrderCard"}},{"kind":"FragmentSpread","name":{"kind":"Name","value":"OrderDetails"}}]}},{"kind":"Field","name":{"kind":"Name","value":"attempt"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"ToConfirm"}}]}},{"kind":"Field","name":{"kind":"Name","value":"products"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"ProductStock"}}]}},{"kind":"Field","name":{"kind":"Name","value":"wallet"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"balance"}}]}},{"kind":"Field","name":{"kind":"Name","value":"couponIssue"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"HeldCoupon"}}]}},{"kind":"Field","name":{"kind":"Name","value":"meta"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"Served"}}]}},{"kind":"Field","name":{"kind":"Name","value":"userErrors"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"Refusal"}}]}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"Price"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Money"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"amountMinor"}},{"kind":"Field","name":{"kind":"Name","value":"currency"}},{"kind":"Field","name":{"kind":"Name","value":"minorDigits"}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"ToConfirm"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"PaymentAttempt"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"status"}},{"kind":"Field","name":{"kind":"Name","value":"reason"}},{"kind":"Field","name":{"kind":"Name","value":"action"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"redirectUrl"}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"OrderCard"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Order"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"status"}},{"kind":"Field","name":{"kind":"Name","value":"createdAt"}},{"kind":"Field","name":{"kind":"Name","value":"expiresAt"}},{"kind":"Field","name":{"kind":"Name","value":"total"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"Price"}}]}},{"kind":"Field","name":{"kind":"Name","value":"discount"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"Price"}}]}},{"kind":"Field","name":{"kind":"Name","value":"lines"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"quantity"}},{"kind":"Field","name":{"kind":"Name","value":"returned"}},{"kind":"Field","name":{"kind":"Name","value":"product"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"name"}}]}},{"kind":"Field","name":{"kind":"Name","value":"total"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"Price"}}]}}]}},{"kind":"Field","name":{"kind":"Name","value":"payment"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"method"}},{"kind":"Field","name":{"kind":"Name","value":"status"}}]}},{"kind":"Field","name":{"kind":"Name","value":"fulfilment"}},{"kind":"Field","name":{"kind":"Name","value":"fulfilledAt"}},{"kind":"Field","name":{"kind":"Name","value":"tracking"}},{"kind":"Field","name":{"kind":"Name","value":"failure"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"reason"}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"OrderDetails"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Order"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"paymentAttempts"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"ToConfirm"}}]}},{"kind":"Field","name":{"kind":"Name","value":"refunds"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"status"}},{"kind":"Field","name":{"kind":"Name","value":"amount"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"Price"}}]}},{"kind":"Field","name":{"kind":"Name","value":"reason"}},{"kind":"Field","name":{"kind":"Name","value":"createdAt"}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"ProductStock"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Product"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"stock"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"available"}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"HeldCoupon"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"CouponIssue"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"status"}},{"kind":"Field","name":{"kind":"Name","value":"coupon"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"name"}},{"kind":"Field","name":{"kind":"Name","value":"discountKind"}},{"kind":"Field","name":{"kind":"Name","value":"discountValue"}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"Served"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"OperationMeta"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"strategy"}},{"kind":"Field","name":{"kind":"Name","value":"attempts"}},{"kind":"Field","name":{"kind":"Name","value":"lockWaitMs"}},{"kind":"Field","name":{"kind":"Name","value":"totalMs"}},{"kind":"Field","name":{"kind":"Name","value":"persistence"}},{"kind":"Field","name":{"kind":"Name","value":"replayed"}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"Refusal"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"UserError"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"__typename"}},{"kind":"Field","name":{"kind":"Name","value":"code"}},{"kind":"Field","name":{"kind":"Name","value":"message"}},{"kind":"Field","name":{"kind":"Name","value":"field"}},{"kind":"Field","name":{"kind":"Name","value":"retryable"}},{"kind":"Field","name":{"kind":"Name","value":"retryAfterMs"}},{"kind":"InlineFragment","typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"OutOfStockError"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"productId"}},{"kind":"Field","name":{"kind":"Name","value":"available"}}]}}]}}]} as unknown as DocumentNode<PayOrderMutation, PayOrderMutationVariables>;
export const CancelOrderDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"mutation","name":{"kind":"Name","value":"CancelOrder"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"input"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"CancelOrderInput"}}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"cancelOrder"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"input"},"value":{"kind":"Variable","name":{"kind":"Name","value":"input"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"order"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"OrderCard"}}]}},{"kind":"Field","name":{"kind":"Name","value":"products"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"ProductStock"}}]}},{"kind":"Field","name":{"kind":"Name","value":"wallet"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"balance"}}]}},{"kind":"Field","name":{"kind":"Name","value":"account"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"AccountBalance"}}]}},{"kind":"Field","name":{"kind":"Name","value":"couponIssue"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"HeldCoupon"}}]}},{"kind":"Field","name":{"kind":"Name","value":"meta"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"Served"}}]}},{"kind":"Field","name":{"kind":"Name","value":"userErrors"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"Refusal"}}]}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"Price"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Money"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"amountMinor"}},{"kind":"Field","name":{"kind":"Name","value":"currency"}},{"kind":"Field","name":{"kind":"Name","value":"minorDigits"}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"OrderCard"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Order"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"status"}},{"kind":"Field","name":{"kind":"Name","value":"createdAt"}},{"kind":"Field","name":{"kind":"Name","value":"expiresAt"}},{"kind":"Field","name":{"kind":"Name","value":"total"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"Price"}}]}},{"kind":"Field","name":{"kind":"Name","value":"discount"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"Price"}}]}},{"kind":"Field","name":{"kind":"Name","value":"lines"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"quantity"}},{"kind":"Field","name":{"kind":"Name","value":"returned"}},{"kind":"Field","name":{"kind":"Name","value":"product"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"name"}}]}},{"kind":"Field","name":{"kind":"Name","value":"total"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"Price"}}]}}]}},{"kind":"Field","name":{"kind":"Name","value":"payment"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"method"}},{"kind":"Field","name":{"kind":"Name","value":"status"}}]}},{"kind":"Field","name":{"kind":"Name","value":"fulfilment"}},{"kind":"Field","name":{"kind":"Name","value":"fulfilledAt"}},{"kind":"Field","name":{"kind":"Name","value":"tracking"}},{"kind":"Field","name":{"kind":"Name","value":"failure"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"reason"}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"ProductStock"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Product"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"stock"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"available"}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"AccountBalance"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Account"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"name"}},{"kind":"Field","name":{"kind":"Name","value":"balance"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"Price"}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"HeldCoupon"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"CouponIssue"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"status"}},{"kind":"Field","name":{"kind":"Name","value":"coupon"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"name"}},{"kind":"Field","name":{"kind":"Name","value":"discountKind"}},{"kind":"Field","name":{"kind":"Name","value":"discountValue"}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"Served"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"OperationMeta"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"strategy"}},{"kind":"Field","name":{"kind":"Name","value":"attempts"}},{"kind":"Field","name":{"kind":"Name","value":"lockWaitMs"}},{"kind":"Field","name":{"kind":"Name","value":"totalMs"}},{"kind":"Field","name":{"kind":"Name","value":"persistence"}},{"kind":"Field","name":{"kind":"Name","value":"replayed"}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"Refusal"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"UserError"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"__typename"}},{"kind":"Field","name":{"kind":"Name","value":"code"}},{"kind":"Field","name":{"kind":"Name","value":"message"}},{"kind":"Field","name":{"kind":"Name","value":"field"}},{"kind":"Field","name":{"kind":"Name","value":"retryable"}},{"kind":"Field","name":{"kind":"Name","value":"retryAfterMs"}},{"kind":"InlineFragment","typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"OutOfStockError"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"productId"}},{"kind":"Field","name":{"kind":"Name","value":"available"}}]}}]}}]} as unknown as DocumentNode<CancelOrderMutation, CancelOrderMutationVariables>;
export const CouponsDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"query","name":{"kind":"Name","value":"Coupons"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"first"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"Int"}}}},{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"after"}},"type":{"kind":"NamedType","name":{"kind":"Name","value":"String"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"coupons"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"first"},"value":{"kind":"Variable","name":{"kind":"Name","value":"first"}}},{"kind":"Argument","name":{"kind":"Name","value":"after"},"value":{"kind":"Variable","name":{"kind":"Name","value":"after"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"edges"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"cursor"}},{"kind":"Field","name":{"kind":"Name","value":"node"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"name"}},{"kind":"Field","name":{"kind":"Name","value":"quota"}},{"kind":"Field","name":{"kind":"Name","value":"issued"}},{"kind":"Field","name":{"kind":"Name","value":"perUserLimit"}}]}}]}},{"kind":"Field","name":{"kind":"Name","value":"pageInfo"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"hasNextPage"}},{"kind":"Field","name":{"kind":"Name","value":"endCursor"}}]}}]}},{"kind":"Field","name":{"kind":"Name","value":"me"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"couponIssues"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"first"},"value":{"kind":"IntValue","value":"100"}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"nodes"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"HeldCoupon"}}]}}]}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"HeldCoupon"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"CouponIssue"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"status"}},{"kind":"Field","name":{"kind":"Name","value":"coupon"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"name"}},{"kind":"Field","name":{"kind":"Name","value":"discountKind"}},{"kind":"Field","name":{"kind":"Name","value":"discountValue"}}]}}]}}]} as unknown as DocumentNode<CouponsQuery, CouponsQueryVariables>;
export const IssueCouponDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"mutation","name":{"kind":"Name","value":"IssueCoupon"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"input"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"IssueCouponInput"}}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"issueCoupon"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"input"},"value":{"kind":"Variable","name":{"kind":"Name","value":"input"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"couponIssue"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"HeldCoupon"}}]}},{"kind":"Field","name":{"kind":"Name","value":"coupon"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"quota"}},{"kind":"Field","name":{"kind":"Name","value":"issued"}}]}},{"kind":"Field","name":{"kind":"Name","value":"meta"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"Served"}}]}},{"kind":"Field","name":{"kind":"Name","value":"userErrors"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"Refusal"}}]}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"HeldCoupon"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"CouponIssue"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"status"}},{"kind":"Field","name":{"kind":"Name","value":"coupon"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"name"}},{"kind":"Field","name":{"kind":"Name","value":"discountKind"}},{"kind":"Field","name":{"kind":"Name","value":"discountValue"}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"Served"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"OperationMeta"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"strategy"}},{"kind":"Field","name":{"kind":"Name","value":"attempts"}},{"kind":"Field","name":{"kind":"Name","value":"lockWaitMs"}},{"kind":"Field","name":{"kind":"Name","value":"totalMs"}},{"kind":"Field","name":{"kind":"Name","value":"persistence"}},{"kind":"Field","name":{"kind":"Name","value":"replayed"}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"Refusal"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"UserError"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"__typename"}},{"kind":"Field","name":{"kind":"Name","value":"code"}},{"kind":"Field","name":{"kind":"Name","value":"message"}},{"kind":"Field","name":{"kind":"Name","value":"field"}},{"kind":"Field","name":{"kind":"Name","value":"retryable"}},{"kind":"Field","name":{"kind":"Name","value":"retryAfterMs"}},{"kind":"InlineFragment","typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"OutOfStockError"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"productId"}},{"kind":"Field","name":{"kind":"Name","value":"available"}}]}}]}}]} as unknown as DocumentNode<IssueCouponMutation, IssueCouponMutationVariables>;
export const PointsDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"query","name":{"kind":"Name","value":"Points"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"first"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"Int"}}}},{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"after"}},"type":{"kind":"NamedType","name":{"kind":"Name","value":"String"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"shop"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"Offer"}}]}},{"kind":"Field","name":{"kind":"Name","value":"me"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"wallet"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"balance"}},{"kind":"Field","name":{"kind":"Name","value":"entries"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"first"},"value":{"kind":"Variable","name":{"kind":"Name","value":"first"}}},{"kind":"Argument","name":{"kind":"Name","value":"after"},"value":{"kind":"Variable","name":{"kind":"Name","value":"after"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"Journal"}}]}}]}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"Price"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Money"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"amountMinor"}},{"kind":"Field","name":{"kind":"Name","value":"currency"}},{"kind":"Field","name":{"kind":"Name","value":"minorDigits"}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"Offer"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Shop"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"paymentMethods"}},{"kind":"Field","name":{"kind":"Name","value":"paymentsSimulated"}},{"kind":"Field","name":{"kind":"Name","value":"pointsPrice"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"Price"}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"Journal"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"EntryConnection"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"edges"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"cursor"}},{"kind":"Field","name":{"kind":"Name","value":"node"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"delta"}},{"kind":"Field","name":{"kind":"Name","value":"amountAfter"}},{"kind":"Field","name":{"kind":"Name","value":"kind"}},{"kind":"Field","name":{"kind":"Name","value":"createdAt"}}]}}]}},{"kind":"Field","name":{"kind":"Name","value":"pageInfo"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"hasNextPage"}},{"kind":"Field","name":{"kind":"Name","value":"endCursor"}}]}}]}}]} as unknown as DocumentNode<PointsQuery, PointsQueryVariables>;
export const ChargePointsDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"mutation","name":{"kind":"Name","value":"ChargePoints"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"input"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"ChargePointsInput"}}}},{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"first"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"Int"}}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"chargePoints"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"input"},"value":{"kind":"Variable","name":{"kind":"Name","value":"input"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"wallet"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"balance"}},{"kind":"Field","name":{"kind":"Name","value":"entries"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"first"},"value":{"kind":"Variable","name":{"kind":"Name","value":"first"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"Journal"}}]}}]}},{"kind":"Field","name":{"kind":"Name","value":"attempt"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"ToConfirm"}}]}},{"kind":"Field","name":{"kind":"Name","value":"meta"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"Served"}}]}},{"kind":"Field","name":{"kind":"Name","value":"userErrors"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"Refusal"}}]}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"Journal"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"EntryConnection"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"edges"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"cursor"}},{"kind":"Field","name":{"kind":"Name","value":"node"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"delta"}},{"kind":"Field","name":{"kind":"Name","value":"amountAfter"}},{"kind":"Field","name":{"kind":"Name","value":"kind"}},{"kind":"Field","name":{"kind":"Name","value":"createdAt"}}]}}]}},{"kind":"Field","name":{"kind":"Name","value":"pageInfo"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"hasNextPage"}},{"kind":"Field","name":{"kind":"Name","value":"endCursor"}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"ToConfirm"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"PaymentAttempt"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"status"}},{"kind":"Field","name":{"kind":"Name","value":"reason"}},{"kind":"Field","name":{"kind":"Name","value":"action"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"redirectUrl"}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"Served"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"OperationMeta"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"strategy"}},{"kind":"Field","name":{"kind":"Name","value":"attempts"}},{"kind":"Field","name":{"kind":"Name","value":"lockWaitMs"}},{"kind":"Field","name":{"kind":"Name","value":"totalMs"}},{"kind":"Field","name":{"kind":"Name","value":"persistence"}},{"kind":"Field","name":{"kind":"Name","value":"replayed"}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"Refusal"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"UserError"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"__typename"}},{"kind":"Field","name":{"kind":"Name","value":"code"}},{"kind":"Field","name":{"kind":"Name","value":"message"}},{"kind":"Field","name":{"kind":"Name","value":"field"}},{"kind":"Field","name":{"kind":"Name","value":"retryable"}},{"kind":"Field","name":{"kind":"Name","value":"retryAfterMs"}},{"kind":"InlineFragment","typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"OutOfStockError"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"productId"}},{"kind":"Field","name":{"kind":"Name","value":"available"}}]}}]}}]} as unknown as DocumentNode<ChargePointsMutation, ChargePointsMutationVariables>;
export const AccountsDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"query","name":{"kind":"Name","value":"Accounts"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"me"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"accounts"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"first"},"value":{"kind":"IntValue","value":"100"}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"nodes"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"AccountBalance"}}]}}]}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"Price"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Money"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"amountMinor"}},{"kind":"Field","name":{"kind":"Name","value":"currency"}},{"kind":"Field","name":{"kind":"Name","value":"minorDigits"}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"AccountBalance"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Account"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"name"}},{"kind":"Field","name":{"kind":"Name","value":"balance"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"Price"}}]}}]}}]} as unknown as DocumentNode<AccountsQuery, AccountsQueryVariables>;
export const TransferDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"mutation","name":{"kind":"Name","value":"Transfer"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"input"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"TransferInput"}}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"transfer"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"input"},"value":{"kind":"Variable","name":{"kind":"Name","value":"input"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"transfer"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"toAccountId"}},{"kind":"Field","name":{"kind":"Name","value":"amount"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"Price"}}]}}]}},{"kind":"Field","name":{"kind":"Name","value":"fromAccount"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"AccountBalance"}}]}},{"kind":"Field","name":{"kind":"Name","value":"toAccount"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"AccountBalance"}}]}},{"kind":"Field","name":{"kind":"Name","value":"meta"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"Served"}}]}},{"kind":"Field","name":{"kind":"Name","value":"userErrors"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"Refusal"}}]}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"Price"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Money"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"amountMinor"}},{"kind":"Field","name":{"kind":"Name","value":"currency"}},{"kind":"Field","name":{"kind":"Name","value":"minorDigits"}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"AccountBalance"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Account"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"name"}},{"kind":"Field","name":{"kind":"Name","value":"balance"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"Price"}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"Served"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"OperationMeta"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"strategy"}},{"kind":"Field","name":{"kind":"Name","value":"attempts"}},{"kind":"Field","name":{"kind":"Name","value":"lockWaitMs"}},{"kind":"Field","name":{"kind":"Name","value":"totalMs"}},{"kind":"Field","name":{"kind":"Name","value":"persistence"}},{"kind":"Field","name":{"kind":"Name","value":"replayed"}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"Refusal"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"UserError"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"__typename"}},{"kind":"Field","name":{"kind":"Name","value":"code"}},{"kind":"Field","name":{"kind":"Name","value":"message"}},{"kind":"Field","name":{"kind":"Name","value":"field"}},{"kind":"Field","name":{"kind":"Name","value":"retryable"}},{"kind":"Field","name":{"kind":"Name","value":"retryAfterMs"}},{"kind":"InlineFragment","typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"OutOfStockError"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"productId"}},{"kind":"Field","name":{"kind":"Name","value":"available"}}]}}]}}]} as unknown as DocumentNode<TransferMutation, TransferMutationVariables>;