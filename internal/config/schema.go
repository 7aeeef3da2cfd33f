package config

import (
	"reflect"
	"regexp"
)

// A key is what there is to know about one key of a file.
type key struct {
	want  string   // completes "want …"
	table bool     // it stands in brackets
	array bool     // it stands in double brackets
	keys  []string // those of a table
}

// A keyring holds all keys by their paths without indices, such as "link.mtu".
// The empty path stands for the file.
type keyring map[string]key

// schema is made of the tags of document.
var schema = makeSchema()

func makeSchema() keyring {
	ring := make(keyring)
	ring[""] = key{keys: ring.addFields("", reflect.TypeFor[document]())}
	return ring
}

// addFields adds the keys of a table and returns their names, in the order of
// the fields.
func (ring keyring) addFields(prefix string, table reflect.Type) (names []string) {
	for i := range table.NumField() {
		field := table.Field(i)
		if field.Anonymous {
			names = append(names, ring.addFields(prefix, field.Type)...)
			continue
		}
		name := field.Tag.Get("toml")
		names = append(names, name)
		k := key{want: field.Tag.Get("want")}
		kind := field.Type
		if kind.Kind() == reflect.Slice && kind.Elem().Kind() == reflect.Struct {
			kind, k.array = kind.Elem(), true
		}
		if kind.Kind() == reflect.Struct {
			k.table = true
			k.keys = ring.addFields(prefix+name+".", kind)
		}
		ring[prefix+name] = k
	}
	return names
}

var index = regexp.MustCompile(`\[[0-9]+\]`)

// at returns the key that a path with indices leads to, such as "link[0].mtu".
func (ring keyring) at(path string) (k key, known bool) {
	k, known = ring[index.ReplaceAllString(path, "")]
	return k, known
}
