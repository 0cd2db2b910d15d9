package control

// SetPage sets how many connections the client asks for at a time.
func (c *Client) SetPage(n int) { c.page = n }
