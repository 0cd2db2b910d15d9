package observe

import (
	"os"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/sys/unix"
)

// Times in the log have microseconds, so that they can be laid beside a capture.
const (
	jsonTime    = "2006-01-02T15:04:05.000000Z07:00"
	consoleTime = "15:04:05.000000"
)

// NewLogger writes lines of at least the given level (debug, info, warn, error) to f: for people when f is a
// terminal, otherwise as JSON with the keys level, ts and msg.
func NewLogger(f *os.File, level string) (*zap.Logger, error) {
	l, err := zapcore.ParseLevel(level)
	if err != nil {
		return nil, err
	}
	return LoggerAt(f, l), nil
}

// LoggerAt is NewLogger with a level that may change, as a zap.AtomicLevel does.
func LoggerAt(f *os.File, level zapcore.LevelEnabler) *zap.Logger {
	enc := zapcore.EncoderConfig{
		LevelKey: "level", TimeKey: "ts", MessageKey: "msg", LineEnding: zapcore.DefaultLineEnding,
		EncodeLevel: zapcore.LowercaseLevelEncoder, EncodeTime: zapcore.TimeEncoderOfLayout(jsonTime),
		EncodeDuration: zapcore.StringDurationEncoder,
	}
	encoder := zapcore.NewJSONEncoder(enc)
	if terminal(f) {
		enc.EncodeLevel = zapcore.CapitalLevelEncoder
		enc.EncodeTime = zapcore.TimeEncoderOfLayout(consoleTime)
		enc.ConsoleSeparator = " "
		encoder = zapcore.NewConsoleEncoder(enc)
	}
	return zap.New(zapcore.NewCore(encoder, zapcore.Lock(f), level))
}

func terminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}
