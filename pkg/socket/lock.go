package socket

// lock is a mutex for which one can wait together with other things. A testing/synctest bubble knows such a wait for
// what it is, where a sync.Mutex would stop its clock: a reader may hold the lock for hours.
type lock chan struct{}

func newLock() lock { return make(lock, 1) }

func (l lock) release() { <-l }

// acquire waits for the lock until failed, called whenever the deadline has passed, returns an error.
func (l lock) acquire(d *deadline, failed func() error) error {
	for {
		select {
		case l <- struct{}{}:
			return nil
		default:
		}
		select {
		case l <- struct{}{}:
			return nil
		case <-d.wait():
			if err := failed(); err != nil {
				return err
			}
		}
	}
}
