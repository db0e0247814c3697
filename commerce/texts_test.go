package commerce_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/uuid"

	"holdfast/commerce"
	"holdfast/ent/coupon"
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
	} {
		t.Run(field, func(t *testing.T) { atTheLimit(t, field, alphabet, limit.characters, limit.write) })
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
