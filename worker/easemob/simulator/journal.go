package simulator

// journal is a list that only grows, in pieces: adding to a long one moves
// nothing, so the lock over it is held for a moment at any size.
type journal[T any] struct {
	pieces [][]T
	n      int
}

const pieceSize = 1024

func (j *journal[T]) add(v T) {
	if j.n%pieceSize == 0 {
		j.pieces = append(j.pieces, make([]T, 0, pieceSize))
	}
	last := &j.pieces[len(j.pieces)-1]
	*last = append(*last, v)
	j.n++
}

// at returns the ith element, which must exist.
func (j *journal[T]) at(i int) *T { return &j.pieces[i/pieceSize][i%pieceSize] }

// from returns a copy of the elements from the ith on.
func (j *journal[T]) from(i int) []T {
	i = min(max(i, 0), j.n)
	out := make([]T, 0, j.n-i)
	for ; i < j.n; i = (i/pieceSize + 1) * pieceSize {
		out = append(out, j.pieces[i/pieceSize][i%pieceSize:]...)
	}
	return out
}
