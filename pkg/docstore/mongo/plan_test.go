package mongo

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"quittance/pkg/docstore"
	"quittance/pkg/docstore/internal/engine"
)

var planSpec = docstore.StoreSpec{Name: "documents", Indexes: []string{"color", "size"}}

// shape is a query with its values taken out: names of fields, with a ? for a
// value and a < for bounds, the sort order, and the index it asks for.
// TestConformance sees to it that the table has all there are.
type shape struct{ filter, sort, index string }

// shapes are all queries that the engine makes, and the index that serves
// each. x stands for the name of an index field. Beside an id other fields are
// looked at in the one document that was found.
var shapes = []shape{
	// Documents by id: get, insert's check, update, delete, claim, mark, ping.
	{"_id?", "", ""},
	{"_id? v?", "", ""},
	{"_id? v? published?", "", ""},
	{"_id? v? published? claim_at<", "", ""},
	{"_id? claim_at<", "", ""},
	{"_id? emitted?", "", ""},
	{"_id? emitted< published<", "", ""},
	// What is due, and when; what is to be relayed.
	{"claim_at<", "claim_at _id", "claim_at_1__id_1"},
	{"relay_at<", "relay_at _id", "relay_at_1__id_1"},
	// Pages by id.
	{"", "_id", "_id_"},
	{"_id?", "_id", "_id_"},
	{"_id<", "_id", "_id_"},
	{"tenant?", "_id", "tenant_1__id_1"},
	{"tenant? _id?", "_id", "tenant_1__id_1"},
	{"tenant? _id<", "_id", "tenant_1__id_1"},
	// Pages by index field: a value, the rest of it, a range.
	{"ix_x?", "_id", "ix_x_1__id_1"},
	{"ix_x? _id<", "_id", "ix_x_1__id_1"},
	{"ix_x<", "ix_x _id", "ix_x_1__id_1"},
	{"tenant? ix_x?", "_id", "tenant_1_ix_x_1__id_1"},
	{"tenant? ix_x? _id<", "_id", "tenant_1_ix_x_1__id_1"},
	{"tenant? ix_x<", "ix_x _id", "tenant_1_ix_x_1__id_1"},
}

// TestEveryShapeIsServedByADeclaredIndex holds the table to the indexes: the
// fields with a value come first in the index, then the one with bounds, and
// what is left of the index is the sort order. So the walk touches what it
// finds and nothing else, and nothing is sorted.
func TestEveryShapeIsServedByADeclaredIndex(t *testing.T) {
	all := append(declared(docstore.StoreSpec{Indexes: []string{"x"}}), indexID)
	for _, s := range shapes {
		filter := strings.Fields(s.filter)
		if s.index == "" {
			if filter[0] != "_id?" || s.sort != "" {
				t.Errorf("%+v is not by id", s)
			}
			continue
		}
		at := slices.IndexFunc(all, func(ix index) bool { return ix.name() == s.index })
		if at < 0 {
			t.Errorf("%+v: the index is not declared", s)
			continue
		}
		ix, rest := all[at], all[at]
		for i, f := range filter {
			name, value := strings.CutSuffix(f, "?")
			name = strings.TrimSuffix(name, "<")
			if name != ix[i] || !value && i != len(filter)-1 {
				t.Errorf("%+v: %s is not bounded by the index", s, f)
			}
			if value && len(rest) > 1 {
				rest = rest[1:]
			}
		}
		if want := strings.Join(rest, " "); s.sort != want {
			t.Errorf("%+v: the index gives the order %s", s, want)
		}
	}
}

// shapesOf are those of all statements of a command.
func shapesOf(command bson.Raw) []shape {
	var d bson.D
	if err := bson.Unmarshal(command, &d); err != nil {
		panic(err)
	}
	switch d[0].Key {
	case "find":
		filter, _ := value(d, "filter").(bson.D)
		order, _ := value(d, "sort").(bson.D)
		hint, _ := value(d, "hint").(string)
		var by []string
		for _, e := range order {
			by = append(by, anonymous(e.Key))
		}
		return []shape{{shapeOf(filter), strings.Join(by, " "), anonymous(hint)}}
	case "update", "delete":
		var all []shape
		for _, s := range list(d, d[0].Key+"s") {
			all = append(all, shape{filter: shapeOf(value(s, "q").(bson.D))})
		}
		return all
	}
	return nil // an insert has no query
}

func shapeOf(filter bson.D) string {
	var fields []string
	for _, e := range filter {
		mark := "?"
		if _, bounds := e.Value.(bson.D); bounds {
			mark = "<"
		}
		fields = append(fields, anonymous(e.Key)+mark)
	}
	return strings.Join(fields, " ")
}

func anonymous(s string) string {
	for _, name := range planSpec.Indexes {
		s = strings.ReplaceAll(s, prefixIndex+name, prefixIndex+"x")
	}
	return s
}

// requests are examples of all walks, for a server to explain.
func requests(t *testing.T) []request {
	t.Helper()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	all := []request{claimable(now), relayable(now), soonest()}
	for _, name := range []string{"", "color"} {
		for _, q := range []docstore.Query{{}, {Equal: "m"}, {From: "b"}, {To: "y"}, {From: "b", To: "y"}} {
			for _, tenant := range []bool{true, false} {
				for _, descending := range []bool{true, false} {
					q.Index, q.AllTenants, q.Tenant, q.Descending, q.Limit = name, !tenant, "mer_1", descending, 10
					scan, err := engine.Parse(planSpec, q)
					must(t, err)
					all = append(all, walks(scan)...)
					scan.Start = &engine.Position{ID: "m"}
					if name != "" {
						scan.Start.Value = "m"
					}
					all = append(all, walks(scan)...)
				}
			}
		}
	}
	return all
}

// stages are the names of a plan's stages and indexes, from the answer to
// explain, whichever engine executes it.
func stages(v bson.RawValue, found map[string]bool) {
	var elements []bson.RawElement
	if doc, ok := v.DocumentOK(); ok {
		elements, _ = doc.Elements()
	} else if array, ok := v.ArrayOK(); ok {
		values, _ := array.Values()
		for _, v := range values {
			stages(v, found)
		}
	}
	for _, e := range elements {
		if name, ok := e.Value().StringValueOK(); ok && (e.Key() == "stage" || e.Key() == "indexName") {
			found[name] = true
		}
		stages(e.Value(), found)
	}
}

func TestStagesAreFoundAnywhereInAPlan(t *testing.T) {
	raw, err := bson.Marshal(bson.D{{Key: "shards", Value: bson.A{bson.D{{Key: "winningPlan", Value: bson.D{
		{Key: "stage", Value: "FETCH"}, {Key: "inputStage", Value: bson.D{{Key: "stage", Value: "IXSCAN"}, {Key: "indexName", Value: "a_1"}}},
	}}}}}})
	must(t, err)
	found := map[string]bool{}
	stages(bson.RawValue{Type: bson.TypeEmbeddedDocument, Value: raw}, found)
	if got := fmt.Sprint(found); got != "map[FETCH:true IXSCAN:true a_1:true]" {
		t.Fatal(got)
	}
}
