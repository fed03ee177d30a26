package mongo

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// answer carries a command out.
func (f *fakePrimary) answer(command bson.D, concern bool) bson.D {
	f.mu.Lock()
	defer f.mu.Unlock()
	name, collection := command[0].Key, fmt.Sprint(command[0].Value)
	switch strings.ToLower(name) {
	case "hello", "ismaster":
		me := f.listener.Addr().String()
		return bson.D{
			{Key: "ok", Value: 1.0}, {Key: "helloOk", Value: true}, {Key: "isWritablePrimary", Value: true}, {Key: "ismaster", Value: true},
			{Key: "setName", Value: "rs"}, {Key: "hosts", Value: bson.A{me}}, {Key: "me", Value: me}, {Key: "primary", Value: me},
			{Key: "maxBsonObjectSize", Value: 16 << 20}, {Key: "maxMessageSizeBytes", Value: 48_000_000}, {Key: "maxWriteBatchSize", Value: 100_000},
			{Key: "logicalSessionTimeoutMinutes", Value: 30}, {Key: "minWireVersion", Value: 0}, {Key: "maxWireVersion", Value: 21},
		}
	case "ping", "endsessions":
		return bson.D{{Key: "ok", Value: 1.0}}
	case "listindexes":
		return page(collection, f.indexes[collection])
	case "createindexes":
		for _, ix := range list(command, "indexes") {
			f.indexes[collection] = append(f.indexes[collection], append(ix, bson.E{Key: "v", Value: 2}))
		}
		return bson.D{{Key: "ok", Value: 1.0}}
	case "find":
		return page(collection, f.find(collection, command))
	case "insert", "update", "delete":
		session, _ := value(command, "lsid").(bson.D)
		number := value(command, "txnNumber")
		key := fmt.Sprint(session, number)
		if done, ok := f.answered[key]; ok && number != nil {
			return done
		}
		done := f.write(name, collection, command)
		if number != nil {
			f.answered[key] = done
		}
		if concern {
			done = append(slices.Clone(done), bson.E{Key: "writeConcernError", Value: bson.D{
				{Key: "code", Value: 64}, {Key: "codeName", Value: "WriteConcernFailed"}, {Key: "errmsg", Value: "waiting for replication timed out"},
			}})
		}
		return done
	}
	return bson.D{{Key: "ok", Value: 0.0}, {Key: "code", Value: 59}, {Key: "errmsg", Value: "no such command: " + name}}
}

// page is the answer with all of what was found.
func page(collection string, found []bson.D) bson.D {
	batch := bson.A{}
	for _, d := range found {
		batch = append(batch, d)
	}
	return bson.D{{Key: "ok", Value: 1.0}, {Key: "cursor", Value: bson.D{
		{Key: "id", Value: int64(0)}, {Key: "ns", Value: "test." + collection}, {Key: "firstBatch", Value: batch},
	}}}
}

func (f *fakePrimary) write(name, collection string, command bson.D) bson.D {
	if f.docs[collection] == nil {
		f.docs[collection] = map[string]bson.D{}
	}
	docs, n, errs := f.docs[collection], 0, bson.A{}
	for i, s := range list(command, map[string]string{"insert": "documents", "update": "updates", "delete": "deletes"}[name]) {
		if name == "insert" {
			id := value(s, "_id").(string)
			if docs[id] != nil {
				errs = append(errs, bson.D{{Key: "index", Value: i}, {Key: "code", Value: 11000}, {Key: "errmsg", Value: "E11000 duplicate key"}})
				continue
			}
			docs[id] = s
			n++
			continue
		}
		q := value(s, "q").(bson.D)
		id := value(q, "_id").(string) // writes are by id, or this panics
		if docs[id] == nil || !matches(docs[id], q) {
			continue
		}
		n++
		if name == "delete" {
			delete(docs, id)
		} else {
			docs[id] = updated(docs[id], value(s, "u").(bson.D))
		}
	}
	answer := bson.D{{Key: "ok", Value: 1.0}, {Key: "n", Value: n}}
	if name == "update" {
		answer = append(answer, bson.E{Key: "nModified", Value: n})
	}
	if len(errs) > 0 {
		answer = append(answer, bson.E{Key: "writeErrors", Value: errs})
	}
	return answer
}

func (f *fakePrimary) find(collection string, command bson.D) []bson.D {
	filter, _ := value(command, "filter").(bson.D)
	order, _ := value(command, "sort").(bson.D)
	var found []bson.D
	if id, ok := value(filter, "_id").(string); ok {
		if d := f.docs[collection][id]; d != nil && matches(d, filter) {
			found = append(found, d)
		}
	} else {
		for _, d := range f.docs[collection] {
			if matches(d, filter) {
				found = append(found, d)
			}
		}
	}
	slices.SortFunc(found, func(a, b bson.D) int {
		for _, by := range order {
			c, _ := compare(value(a, by.Key), value(b, by.Key))
			if c != 0 {
				return c * int(by.Value.(int32))
			}
		}
		return 0
	})
	if limit, ok := value(command, "limit").(int64); ok && limit > 0 {
		found = found[:min(int(limit), len(found))]
	}
	return found
}

func updated(doc, u bson.D) bson.D {
	doc = slices.Clone(doc)
	for _, op := range u {
		for _, e := range op.Value.(bson.D) {
			at := slices.IndexFunc(doc, func(have bson.E) bool { return have.Key == e.Key })
			switch {
			case op.Key == "$unset" && at >= 0:
				doc = slices.Delete(doc, at, at+1)
			case op.Key == "$unset":
			case op.Key == "$inc" && at >= 0:
				doc[at].Value = doc[at].Value.(int64) + e.Value.(int64)
			case op.Key == "$set" && at >= 0:
				doc[at].Value = e.Value
			case op.Key == "$set":
				doc = append(doc, e)
			default:
				panic("operator " + op.Key)
			}
		}
	}
	return doc
}

func matches(doc, filter bson.D) bool {
	for _, want := range filter {
		have := value(doc, want.Key)
		bounds, ok := want.Value.(bson.D)
		if !ok {
			bounds = bson.D{{Key: "$eq", Value: want.Value}}
		}
		for _, b := range bounds {
			c, comparable := compare(have, b.Value)
			ok, known := map[string]bool{"$eq": c == 0, "$lt": c < 0, "$lte": c <= 0, "$gt": c > 0, "$gte": c >= 0}[b.Key]
			if !known {
				panic("operator " + b.Key)
			}
			if !comparable || !ok {
				return false
			}
		}
	}
	return true
}

// compare compares values of one type; others are not comparable.
func compare(a, b any) (int, bool) {
	switch a := a.(type) {
	case string:
		b, ok := b.(string)
		return strings.Compare(a, b), ok
	case int64:
		b, ok := b.(int64)
		return cmp.Compare(a, b), ok
	case bson.DateTime:
		b, ok := b.(bson.DateTime)
		return cmp.Compare(a, b), ok
	}
	return 0, false
}

func value(doc bson.D, key string) any {
	for _, e := range doc {
		if e.Key == key {
			return e.Value
		}
	}
	return nil
}

func list(doc bson.D, key string) []bson.D {
	var out []bson.D
	all, _ := value(doc, key).(bson.A)
	for _, v := range all {
		out = append(out, v.(bson.D))
	}
	return out
}
