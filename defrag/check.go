package defrag

// Check reports what [New] and [Engine.SetZone] would refuse.
func (c ZoneConfig) Check() error {
	_, err := c.withDefaults()
	return err
}
