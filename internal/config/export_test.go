package config

// Keys returns the path of every key there is, without tables.
func Keys() (keys []string) {
	for path, k := range schema {
		if path != "" && !k.table {
			keys = append(keys, path)
		}
	}
	return keys
}

// Has reports whether the file has something where a path leads, whatever the
// indices in it.
func (c *Config) Has(path string) bool {
	for p := range c.places {
		if index.ReplaceAllString(p, "") == path {
			return true
		}
	}
	return false
}
