//go:build !unix

package main

import "errors"

func (w *worker) stop() error { return errors.ErrUnsupported }

func giveWay() error { return errors.ErrUnsupported }
