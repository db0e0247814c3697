
      export interface PossibleTypesResultData {
        possibleTypes: {
          [key: string]: string[]
        }
      }
      const result: PossibleTypesResultData = {
  "possibleTypes": {
    "EntrySource": [
      "Adjustment",
      "CouponIssue",
      "Hold",
      "Order",
      "Transfer"
    ],
    "Node": [
      "Account",
      "Category",
      "Coupon",
      "CouponIssue",
      "Customer",
      "Entry",
      "Hold",
      "Order",
      "Payment",
      "Product",
      "ProductVariant",
      "QueueTicket",
      "Transfer",
      "Wallet"
    ],
    "UserError": [
      "ContentionError",
      "CouponExhaustedError",
      "InputError",
      "InsufficientFundsError",
      "OutOfStockError",
      "PaymentDeclinedError",
      "PaymentMethodError",
      "PriceChangedError",
      "PurchaseLimitError",
      "UnavailableError",
      "VersionConflictError"
    ]
  }
};
      export default result;
    