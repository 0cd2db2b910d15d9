package service

import (
	"errors"
	"io/fs"
	"log"
	"os"
	"path"
	"strings"
	"syscall"
)

// Directory is what lies below root, for NewHTTP. To open one of its files waits for nobody: a FIFO's other end, above all, may
// never come, and neither a deadline nor the end of the connection wakes who waits for it.
func Directory(root *os.Root) fs.FS { return directory{root} }

type directory struct{ root *os.Root }

// Open implements fs.FS.
func (d directory) Open(name string) (fs.File, error) {
	f, err := d.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err // no *os.File that is nil
	}
	return f, nil
}

// Stat implements fs.StatFS.
func (d directory) Stat(name string) (fs.FileInfo, error) { return d.root.Stat(name) }

// plainFiles has what is a regular file, or a directory with an index.html. It hides all else: what other directories hold, names
// that begin with a dot, FIFOs, sockets and devices, and where a link leads out of an os.Root.
type plainFiles struct {
	fs.FS
	complaints *log.Logger // of what fails for a reason of ours; may be nil
}

// Open implements fs.FS. What is not to be served is not opened, for that alone can do something to a device; and since another
// file may have the name by then, what has been opened is looked at again.
func (p plainFiles) Open(name string) (fs.File, error) {
	notThere := &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	if strings.HasPrefix(name, ".") && name != "." || strings.Contains(name, "/.") {
		return nil, notThere
	}
	i, err := fs.Stat(p.FS, name)
	if err != nil {
		return nil, p.failed(name, err)
	}
	if !p.served(name, i) {
		return nil, notThere
	}
	f, err := p.FS.Open(name)
	if err != nil {
		return nil, p.failed(name, err)
	}
	if i, err := f.Stat(); err != nil || !p.served(name, i) {
		_ = f.Close()
		return nil, notThere
	}
	return f, nil
}

func (p plainFiles) served(name string, i fs.FileInfo) bool {
	return i.Mode().IsRegular() || i.IsDir() && p.hasIndex(name)
}

func (p plainFiles) hasIndex(dir string) bool {
	i, err := fs.Stat(p.FS, path.Join(dir, "index.html"))
	return err == nil && i.Mode().IsRegular()
}

// failed is err for the caller. A name that leads nowhere is not there, whoever finds out: the kernel, or an os.Root, whose error
// for what lies outside has no name and is no errno. Of any other trouble, such as a lack of descriptors, he is told
// nothing, and the log all.
func (p plainFiles) failed(name string, err error) error {
	errno, ofKernel := errors.AsType[syscall.Errno](err)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
		return err
	case !ofKernel, errno == syscall.ELOOP, errno == syscall.ENAMETOOLONG, errno == syscall.ENOTDIR, errno == syscall.ENXIO:
		return &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	if p.complaints != nil {
		p.complaints.Printf("http: %v", err)
	}
	return err
}
