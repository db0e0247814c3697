-- Modify "adjustments" table
ALTER TABLE "adjustments" ADD COLUMN "variant_id" character varying NULL;
-- By hand
UPDATE "adjustments" SET "variant_id" = 'var_' || substr("subject", 6) WHERE "family" = 'STOCK';
-- Modify "hold_lines" table
ALTER TABLE "hold_lines" ADD COLUMN "variant_id" character varying NULL;
-- By hand
UPDATE "hold_lines" SET "variant_id" = 'var_' || substr("product_id", 6);
ALTER TABLE "hold_lines" ALTER COLUMN "variant_id" SET NOT NULL;
-- Modify "order_lines" table
ALTER TABLE "order_lines" ADD COLUMN "variant_id" character varying NULL, ADD COLUMN "variant_title" character varying NOT NULL DEFAULT '';
-- By hand
UPDATE "order_lines" SET "variant_id" = 'var_' || substr("product_id", 6);
ALTER TABLE "order_lines" ALTER COLUMN "variant_id" SET NOT NULL;
-- Create "product_variants" table
CREATE TABLE "product_variants" (
  "id" character varying NOT NULL,
  "sku" character varying NOT NULL,
  "option_values" jsonb NULL,
  "combination" character varying NOT NULL DEFAULT '',
  "price_minor" bigint NOT NULL,
  "currency" character varying NOT NULL,
  "position" bigint NOT NULL,
  "imported_stock" bigint NULL,
  "imports" bigint NOT NULL DEFAULT 0,
  "limit_quantity" bigint NOT NULL DEFAULT 0,
  "limit_hours" bigint NOT NULL DEFAULT 0,
  "version" bigint NOT NULL DEFAULT 1,
  "archived_at" timestamptz NULL,
  "created_at" timestamptz NOT NULL,
  "updated_at" timestamptz NOT NULL,
  "product_id" character varying NOT NULL,
  PRIMARY KEY ("id"),
  CONSTRAINT "product_variants_products_variants" FOREIGN KEY ("product_id") REFERENCES "products" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION
);
-- Create index "product_variants_sku_key" to table: "product_variants"
CREATE UNIQUE INDEX "product_variants_sku_key" ON "product_variants" ("sku");
-- Create index "productvariant_product_id_combination" to table: "product_variants"
CREATE UNIQUE INDEX "productvariant_product_id_combination" ON "product_variants" ("product_id", "combination");
-- By hand: each product has one variant, whose identifier has the same suffix, so that the key of its stock stays
INSERT INTO "product_variants" ("id", "product_id", "sku", "combination", "price_minor", "currency", "position", "imported_stock", "imports", "limit_quantity", "limit_hours", "version", "archived_at", "created_at", "updated_at")
SELECT 'var_' || substr("id", 6), "id", "sku", '', "price_minor", "currency", 0, "imported_stock", "imports", "limit_quantity", "limit_hours", 1, NULL, "created_at", "updated_at" FROM "products";
-- Drop index "products_sku_key" from table: "products"
DROP INDEX "products_sku_key";
-- Modify "products" table
ALTER TABLE "products" DROP COLUMN "imported_stock", DROP COLUMN "imports", ADD COLUMN "options" jsonb NULL, ADD COLUMN "max_price_minor" bigint NULL, ADD COLUMN "variant_count" bigint NOT NULL DEFAULT 1;
-- By hand
UPDATE "products" SET "max_price_minor" = "price_minor";
ALTER TABLE "products" ALTER COLUMN "max_price_minor" SET NOT NULL;
-- Modify "refund_lines" table
ALTER TABLE "refund_lines" ADD COLUMN "variant_id" character varying NULL;
-- By hand
UPDATE "refund_lines" SET "variant_id" = 'var_' || substr("product_id", 6);
ALTER TABLE "refund_lines" ALTER COLUMN "variant_id" SET NOT NULL;
-- Modify "search_documents" table
ALTER TABLE "search_documents" ADD COLUMN "other_prices" text NULL;
-- By hand: the lines of carts name variants, and alerts are of variants
UPDATE "carts" SET "lines" = REPLACE("lines"::text, '"productId": "prod_', '"variantId": "var_')::jsonb;
UPDATE "stock_alerts" SET "id" = 'var_' || substr("id", 6);
