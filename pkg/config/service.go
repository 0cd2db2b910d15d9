package config

// The ports of the services.
const (
	PortEcho    = 7
	PortDiscard = 9
	PortDaytime = 13
	PortChargen = 19
	PortHTTP    = 80
)

// Services are those that run.
type Services struct {
	Echo    bool `yaml:"echo"`
	Discard bool `yaml:"discard"`
	Daytime bool `yaml:"daytime"`
	Chargen bool `yaml:"chargen"`
	HTTP    HTTP `yaml:"http"`
}

// HTTP is the web server on port 80.
type HTTP struct {
	Enabled bool   `yaml:"enabled"`
	Static  string `yaml:"static"` // a directory, or empty
}

// Ports are those that the services listen on.
func (s *Services) Ports() (list []uint16) {
	for _, v := range []struct {
		runs bool
		port uint16
	}{
		{s.Echo, PortEcho}, {s.Discard, PortDiscard}, {s.Daytime, PortDaytime}, {s.Chargen, PortChargen},
		{s.HTTP.Enabled, PortHTTP},
	} {
		if v.runs {
			list = append(list, v.port)
		}
	}
	return list
}
