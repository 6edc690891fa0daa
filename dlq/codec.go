package dlq

import (
	_ "embed"
	"errors"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// dictionary is text that entries have in common, so that even a short one is
// mostly references to it. Entries that are kept were written with it: it can't
// be changed, only be joined by a second one under another number.
//
//go:embed dictionary.txt
var dictionary []byte

const (
	dictionaryID = 1
	// expandedMax bounds what an entry may become, in bytes. The largest possible
	// one, 200 attempts and edits of the largest payload, is below it.
	expandedMax = 64 << 20
	// zstdMagic begins what is compressed; what is not begins with a brace.
	zstdMagic = "\x28\xb5\x2f\xfd"
)

// A codec compresses bodies of entries. It is safe for concurrent use.
type codec struct {
	encoder *zstd.Encoder
	decoder *zstd.Decoder
}

func newCodec() (*codec, error) {
	encoder, err := zstd.NewWriter(nil,
		zstd.WithEncoderLevel(zstd.SpeedFastest), // the next one takes half as long again and saves nothing
		zstd.WithEncoderDictRaw(dictionaryID, dictionary),
		zstd.WithEncoderCRC(false), // Redis and its connection check their data
		zstd.WithWindowSize(128<<10), zstd.WithLowerEncoderMem(true),
	)
	if err != nil {
		return nil, err
	}
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderDictRaw(dictionaryID, dictionary),
		zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(expandedMax))
	if err != nil {
		return nil, err
	}
	return &codec{encoder, decoder}, nil
}

// compress returns plain, or what stands for it in fewer bytes.
func (c *codec) compress(plain []byte) []byte {
	packed := c.encoder.EncodeAll(plain, make([]byte, 0, len(plain)))
	if len(packed) >= len(plain) {
		return plain
	}
	return packed
}

// expand undoes compress. It fails for what compress can't have written.
func (c *codec) expand(body []byte) ([]byte, error) {
	switch text := string(body[:min(len(body), len(zstdMagic))]); {
	case text == zstdMagic:
		return c.decoder.DecodeAll(body, nil)
	case strings.HasPrefix(text, "{"):
		return body, nil
	default:
		return nil, errors.New("neither compressed nor JSON")
	}
}
