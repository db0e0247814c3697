package commerce_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"entgo.io/ent/schema/field"
	"github.com/google/uuid"

	"holdfast/commerce"
	"holdfast/ent"
	"holdfast/ent/adjustment"
	"holdfast/ent/coupon"
	"holdfast/ent/migrate"
	"holdfast/ent/payment"
	"holdfast/ent/schema"
	"holdfast/internal/testenv"
	"holdfast/lockprovider"
)

// alphabets are texts of one, two, three and four bytes a character, and such as have several characters in what people see as one.
var alphabets = map[string]string{
	"ascii":           "a",
	"hangul":          "한국어",
	"emoji":           "👩‍🚀🦀", // a woman, a joiner, a rocket; a crab
	"combining marks": "éạ̊",
	"right to left":   "שלום مرحبا",
}

// ofLength repeats an alphabet to a text of so many characters, which begins and ends with no blank.
func ofLength(alphabet string, characters int) string {
	text := strings.Repeat(strings.ReplaceAll(alphabet, " ", ""), characters)
	return string([]rune(text)[:characters])
}

// Every text that people write has a limit in characters, in whatever script, and the same one on all databases. What is longer is
// refused by name. What is as long is kept as it is.
func TestTextsAtTheirLimits(t *testing.T) {
	for database, url := range map[string]func(testing.TB) string{
		"sqlite": func(testing.TB) string { return "sqlite://:memory:" }, "postgres": testenv.Postgres, "mariadb": testenv.MariaDB,
	} {
		t.Run(database, func(t *testing.T) {
			s := openShop(t, lockprovider.FamilyConfig{Strategy: lockprovider.RowLock}, url(t), "")
			for script, alphabet := range alphabets {
				t.Run(script, func(t *testing.T) { textsAtTheirLimits(t, s, alphabet) })
			}
		})
	}
}

func textsAtTheirLimits(t *testing.T, s *shop, alphabet string) {
	ctx := t.Context()
	usd := commerce.Money{Minor: 100, Currency: "USD"}
	s.points(t, alice, 1000)
	// The texts of each limit come back as they are stored.
	for field, limit := range map[string]struct {
		characters int
		write      func(text string) (stored string, err error)
	}{
		"sku": {schema.MaxSKU, func(text string) (string, error) {
			row, err := s.Catalog.Create(ctx, admin, commerce.CreateProduct{SKU: text, Name: "A", Price: usd})
			if err != nil {
				return "", err
			}
			row, err = s.Catalog.Product(ctx, row.ID)
			return row.Sku, err
		}},
		"name": {schema.MaxProductName, func(text string) (string, error) {
			row, err := s.Catalog.Create(ctx, admin, commerce.CreateProduct{SKU: uuid.NewString(), Name: text, Price: usd})
			if err != nil {
				return "", err
			}
			row, err = s.Catalog.Product(ctx, row.ID)
			return row.Name, err
		}},
		"options.0": {schema.MaxOption, func(text string) (string, error) {
			row, err := s.Catalog.Create(ctx, admin, commerce.CreateProduct{
				Name: "A", Options: []string{text}, Variants: []commerce.CreateVariant{{SKU: uuid.NewString(), Options: []string{"M"}, Price: usd}},
			})
			if err != nil {
				return "", err
			}
			row, err = s.Catalog.Product(ctx, row.ID)
			return row.Options[0], err
		}},
		"variants.0.options.0": {schema.MaxOption, func(text string) (string, error) {
			row, err := s.Catalog.Create(ctx, admin, commerce.CreateProduct{
				Name: "A", Options: []string{"a", "b", "c"},
				Variants: []commerce.CreateVariant{{SKU: uuid.NewString(), Options: []string{text, text, text}, Price: usd, Stock: 1}},
			})
			if err != nil {
				return "", err
			}
			placed, err := s.Orders.Place(ctx, alice, commerce.PlaceOrder{
				Key: uuid.New(), Lines: []commerce.Line{{ProductID: row.ID, Quantity: 1}}, Payment: &commerce.Payment{Method: payment.MethodPOINTS},
			})
			if err != nil {
				return "", err
			}
			title := placed.Order.Edges.Lines[0].VariantTitle // as the database has it, since it is paid
			if title != strings.Join([]string{text, text, text}, schema.TitleSeparator) {
				t.Errorf("the title has %d characters", utf8.RuneCountInString(title))
			}
			return strings.Split(title, schema.TitleSeparator)[0], nil
		}},
		"description": {schema.MaxDescription, func(text string) (string, error) {
			row, err := s.Catalog.Create(ctx, admin, commerce.CreateProduct{
				SKU: uuid.NewString(), Name: "A", Description: text, Price: usd,
			})
			if err != nil {
				return "", err
			}
			row, err = s.Catalog.Product(ctx, row.ID)
			return row.Description, err
		}},
		"reason": {200, func(text string) (string, error) {
			_, err := s.Catalog.AdjustStock(ctx, admin, commerce.AdjustStock{
				Key: uuid.New(), ProductID: s.product(t, 100, 1), Delta: 1, Reason: text,
			})
			return text, err
		}},
		"tracking": {schema.MaxTracking, func(text string) (string, error) {
			paid := s.paid(t, byPoints(), "", commerce.Line{ProductID: s.product(t, 1, 1), Quantity: 1})
			result, err := s.Orders.Fulfil(ctx, admin, commerce.FulfilOrder{Key: uuid.New(), OrderID: paid.ID, Tracking: text})
			if err != nil {
				return "", err
			}
			return result.Order.Tracking, nil
		}},
	} {
		t.Run(field, func(t *testing.T) { atTheLimit(t, field, alphabet, limit.characters, limit.write) })
	}
	const cdn = "https://cdn.example.com/"
	for field, limit := range map[string]struct {
		characters int
		of         func(text string) commerce.Attributes
		stored     func(row *ent.Product) string
	}{
		"vendor": {
			schema.MaxVendor, func(text string) commerce.Attributes { return commerce.Attributes{Vendor: &text} },
			func(row *ent.Product) string { return row.Vendor },
		},
		"productType": {
			schema.MaxProductType, func(text string) commerce.Attributes { return commerce.Attributes{ProductType: &text} },
			func(row *ent.Product) string { return row.ProductType },
		},
		"tags.0": {
			schema.MaxTag, func(text string) commerce.Attributes { return commerce.Attributes{Tags: []string{text}} },
			func(row *ent.Product) string { return strings.Join(row.Tags, ", ") },
		},
		"images.0.altText": {
			schema.MaxAltText, func(text string) commerce.Attributes {
				return commerce.Attributes{Images: []commerce.Image{{URL: cdn + "1.jpg", AltText: text}}}
			},
			func(row *ent.Product) string { return s.featured(t, row.ID).AltText },
		},
		"images.0.url": {
			schema.MaxImageURL - len(cdn), func(text string) commerce.Attributes {
				return commerce.Attributes{Images: []commerce.Image{{URL: cdn + text}}}
			},
			func(row *ent.Product) string { return strings.TrimPrefix(s.featured(t, row.ID).URL, cdn) },
		},
	} {
		t.Run(field, func(t *testing.T) {
			atTheLimit(t, field, alphabet, limit.characters, func(text string) (string, error) {
				row, err := s.Catalog.Create(ctx, admin, commerce.CreateProduct{
					SKU: uuid.NewString(), Name: "A", Price: usd, Attributes: limit.of(text),
				})
				if err != nil {
					return "", err
				}
				row, err = s.Catalog.Product(ctx, row.ID)
				must(t, err)
				return limit.stored(row), nil
			})
		})
	}
	t.Run("name of a category", func(t *testing.T) {
		atTheLimit(t, "name", alphabet, schema.MaxName, func(text string) (string, error) {
			row, err := s.Catalog.CreateCategory(ctx, admin, commerce.CreateCategory{Name: text})
			if err != nil {
				return "", err
			}
			tree, err := s.Catalog.Categories(ctx)
			must(t, err)
			return tree.Category(row.ID).Name, nil
		})
	})
	for name, write := range map[string]func(text string) (string, error){
		"reason of a correction of an account": func(text string) (string, error) {
			result, err := s.Accounts.Adjust(ctx, admin, commerce.AdjustAccount{Key: uuid.New(), AccountID: s.account(t, alice, 1), Delta: 1, Reason: text})
			if err != nil {
				return "", err
			}
			row, err := s.db.Ent.Adjustment.Query().Where(adjustment.Subject(result.Account.ID)).Only(ctx)
			must(t, err)
			return row.Reason, nil
		},
		"reason of a correction of points": func(text string) (string, error) {
			viewer := commerce.Viewer{UserID: strings.ReplaceAll(uuid.NewString(), "-", ""), Name: "A"}
			s.points(t, viewer, 1)
			if _, err := s.Points.Adjust(ctx, admin, commerce.AdjustPoints{Key: uuid.New(), UserID: viewer.UserID, Delta: 1, Reason: text}); err != nil {
				return "", err
			}
			row, err := s.db.Ent.Adjustment.Query().Where(adjustment.Subject(viewer.UserID)).Only(ctx)
			must(t, err)
			return row.Reason, nil
		},
		"reason of a refund": func(text string) (string, error) {
			in := amountOf(s.paid(t, byPoints(), "", commerce.Line{ProductID: s.product(t, 1, 1), Quantity: 1}).ID, 1)
			in.Reason = text
			result, err := s.Refunds.Create(ctx, admin, in)
			if err != nil {
				return "", err
			}
			return result.Refund.Reason, nil
		},
		"reason of a return": func(text string) (string, error) {
			thing := s.product(t, 1, 1)
			paid := s.paid(t, byPoints(), "", commerce.Line{ProductID: thing, Quantity: 1})
			_, err := s.Orders.Fulfil(ctx, admin, commerce.FulfilOrder{Key: uuid.New(), OrderID: paid.ID})
			must(t, err)
			result, err := s.Refunds.Return(ctx, admin, commerce.CreateReturn{
				Key: uuid.New(), OrderID: paid.ID, Lines: []commerce.Line{{ProductID: thing, Quantity: 1}}, Reason: text,
			})
			if err != nil {
				return "", err
			}
			return result.Refund.Reason, nil
		},
	} {
		t.Run(name, func(t *testing.T) { atTheLimit(t, "reason", alphabet, schema.MaxReason, write) })
	}
	t.Run("name of an updated coupon", func(t *testing.T) {
		atTheLimit(t, "name", alphabet, schema.MaxName, func(text string) (string, error) {
			row, err := s.Coupons.Update(ctx, admin, commerce.UpdateCoupon{ID: s.coupon(t, commerce.CreateCoupon{}), Version: 1, Name: &text})
			if err != nil {
				return "", err
			}
			return row.Name, nil
		})
	})
	t.Run("description of an update", func(t *testing.T) {
		atTheLimit(t, "description", alphabet, schema.MaxDescription, func(text string) (string, error) {
			row, err := s.Catalog.Update(ctx, admin, commerce.UpdateProduct{ID: s.product(t, 100, 1), Version: 1, Description: &text})
			if err != nil {
				return "", err
			}
			return row.Description, nil
		})
	})
	t.Run("search", func(t *testing.T) {
		_, err := s.Catalog.Products(ctx, commerce.ProductQuery{Search: ofLength(alphabet, schema.MaxSKU), Page: commerce.Page{First: 1}})
		must(t, err)
		_, err = s.Catalog.Products(ctx, commerce.ProductQuery{Search: ofLength(alphabet, schema.MaxSKU+1), Page: commerce.Page{First: 1}})
		wantCodes(t, err, "INVALID_INPUT:filter.search")
	})
	for field, row := range map[string]func(text string) commerce.ImportRow{
		"sku": func(text string) commerce.ImportRow { return commerce.ImportRow{SKU: text, Name: "A", Price: &usd} },
		"name": func(text string) commerce.ImportRow {
			return commerce.ImportRow{SKU: uuid.NewString(), Name: text, Price: &usd}
		},
		"description": func(text string) commerce.ImportRow {
			return commerce.ImportRow{SKU: uuid.NewString(), Name: "A", Price: &usd, Description: &text}
		},
	} {
		characters := map[string]int{"sku": schema.MaxSKU, "name": schema.MaxProductName, "description": schema.MaxDescription}[field]
		t.Run(field+" of an import over the API", func(t *testing.T) {
			letters := alphabet
			if field == "sku" { // of another test than that of Create, which has the same text
				letters = "x" + alphabet
			}
			atTheLimit(t, "products.0."+field, letters, characters, func(text string) (string, error) {
				_, err := s.importRow(t, row(text), commerce.StockDifference)
				return text, err
			})
		})
	}
	t.Run("name of an update", func(t *testing.T) {
		atTheLimit(t, "name", alphabet, schema.MaxProductName, func(text string) (string, error) {
			row, err := s.Catalog.Update(ctx, admin, commerce.UpdateProduct{ID: s.product(t, 100, 1), Version: 1, Name: &text})
			if err != nil {
				return "", err
			}
			return row.Name, nil
		})
	})
	t.Run("name of a coupon", func(t *testing.T) {
		atTheLimit(t, "name", alphabet, schema.MaxName, func(text string) (string, error) {
			row, err := s.Coupons.Create(ctx, admin, commerce.CreateCoupon{
				Name: text, DiscountKind: coupon.DiscountKindFIXED, DiscountValue: 1, Quota: 1, PerUserLimit: 1,
			})
			if err != nil {
				return "", err
			}
			row, err = s.Coupons.Get(ctx, row.ID)
			return row.Name, err
		})
	})
	t.Run("name of an account", func(t *testing.T) {
		atTheLimit(t, "name", alphabet, schema.MaxName, func(text string) (string, error) {
			row, err := s.Accounts.Open(ctx, alice, commerce.OpenAccount{Name: text, Currency: "USD"})
			if err != nil {
				return "", err
			}
			row, err = s.Accounts.Get(ctx, alice, row.ID)
			return row.Name, err
		})
	})
	t.Run("name in a token", func(t *testing.T) { // cut: the customer cannot help it
		viewer := commerce.Viewer{UserID: strings.ReplaceAll(uuid.NewString(), "-", ""), Name: ofLength(alphabet, 3*schema.MaxName)}
		if _, err := s.Orders.Place(ctx, viewer, commerce.PlaceOrder{
			Key: uuid.New(), Lines: []commerce.Line{{ProductID: s.product(t, 100, 1), Quantity: 1}},
		}); err != nil {
			t.Fatal(err)
		}
		row, err := s.Customers.Get(ctx, viewer)
		must(t, err)
		if n := utf8.RuneCountInString(row.Name); n != schema.MaxName || !strings.HasPrefix(viewer.Name, row.Name) {
			t.Errorf("the name has %d characters: %q", n, row.Name)
		}
	})
	t.Run("description in a file", func(t *testing.T) { // cut, with a mark
		sku := uuid.NewString()
		rows := readCSV(t, shopifyHeader+"mug,Mug,"+ofLength(alphabet, 3*schema.MaxDescription)+",,TRUE,,,,"+sku+",1,12,,active\n")
		if _, err := s.importRow(t, rows[0], commerce.StockDifference); err != nil {
			t.Fatal(err)
		}
		id, _ := s.stockOf(t, sku)
		row, err := s.Catalog.Product(ctx, id)
		must(t, err)
		if n := utf8.RuneCountInString(row.Description); n != schema.MaxDescription || !strings.HasSuffix(row.Description, "…") {
			t.Errorf("the description has %d characters", n)
		}
	})
}

// featured is the first image of a product, as it is stored.
func (s *shop) featured(t testing.TB, productID string) *ent.ProductImage {
	t.Helper()
	images, err := s.Catalog.FeaturedImages(t.Context(), []string{productID})
	must(t, err)
	if images[productID] == nil {
		t.Fatalf("%s has no image", productID)
	}
	return images[productID]
}

// atTheLimit writes a text that is as long as it may be, and one that is longer.
func atTheLimit(t *testing.T, field, alphabet string, characters int, write func(text string) (string, error)) {
	t.Helper()
	text := ofLength(alphabet, characters)
	if stored, err := write(text); err != nil || stored != text {
		t.Errorf("%d characters: %v, %d stored", characters, err, utf8.RuneCountInString(stored))
	}
	_, err := write(ofLength(alphabet, characters+1))
	if errs, ok := commerce.UserErrors(err); !ok || errs[0].Code != commerce.InvalidInput || strings.Join(errs[0].Field, ".") != "input."+field {
		t.Errorf("%d characters: %v, want INVALID_INPUT of input.%s", characters+1, err, field)
	}
}

// peoplesTexts are the columns of what people write, or what a payment gateway tells of a payment. Each is bounded in characters, and tested at
// its limit by textsAtTheirLimits, or cut to its limit.
var peoplesTexts = []string{
	"accounts.name", "adjustments.reason", "categories.name", "coupons.name", "order_lines.variant_title", "orders.failure_reason", "orders.tracking",
	"payment_attempts.reason", "payments.failure_reason", "product_images.alt_text", "product_images.url", "product_variants.sku",
	"products.description", "products.name", "products.product_type", "products.sku", "products.vendor", "refunds.failure_reason", "refunds.reason",
	"scheduler_runs.error", "search_documents.name", "users.name",
}

// Each column of text is one of what people write, or one of names that the shop or a gateway makes, which have a byte a character: so no
// new one is forgotten.
func TestEveryColumnOfTextHasAKind(t *testing.T) {
	made := regexp.MustCompile(`(^|\.)(id|[a-z_]+_id|currency|family|balance|limit_balance|strategy|kind|gateway|administrator|token|subject|scope|position|` +
		`payload_hash|handle|job|instance|host|holder|fingerprint|failure_code|combination|day|client_secret|redirect_url|reference|admission|address|` +
		`last_error|phase)$`)
	unbounded := []string{"search_documents.words", "search_documents.other_prices", "change_logs.payload"}
	names := []string{"database_marks.name"}
	var texts []string
	for _, table := range migrate.Tables {
		for _, column := range table.Columns {
			name := table.Name + "." + column.Name
			switch {
			case column.Type != field.TypeString || made.MatchString(name) || slices.Contains(names, name):
			case column.Size > 1<<16:
				if !slices.Contains(unbounded, name) {
					t.Errorf("%s has no limit", name)
				}
			default:
				texts = append(texts, name)
			}
		}
	}
	slices.Sort(texts)
	if !slices.Equal(texts, peoplesTexts) {
		t.Errorf("columns of texts:\n%v, want\n%v: test a new one at its limit", texts, peoplesTexts)
	}
}
