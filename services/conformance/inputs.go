package conformance

import (
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
)

// make writes the input to a file or directory of the operating system.
func (in Input) make(file string) error {
	if in.File != "" {
		b, err := samples.ReadFile("samples/" + in.File)
		if err != nil {
			return err
		}
		return os.WriteFile(file, b, 0o666)
	}
	if in.Frames == 0 {
		return in.picture(file, 0)
	}
	if err := os.MkdirAll(file, 0o770); err != nil {
		return err
	}
	for n := range in.Frames {
		if err := in.picture(filepath.Join(file, fmt.Sprintf("frame_%05d.png", n+1)), n); err != nil {
			return err
		}
	}
	return nil
}

// picture draws a hilly land that moves sideways with n.
func (in Input) picture(file string, n int) error {
	img := image.NewNRGBA(image.Rect(0, 0, in.Width, in.Height))
	for y := range in.Height {
		for x := range in.Width {
			u := x + 2*n
			v := uint8(60 + (u/8*37+y/8*91+u/8*(y/8))%140)
			img.SetNRGBA(x, y, color.NRGBA{v, 255 - v/2, uint8(80 + y*120/in.Height), 255})
		}
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	return errors.Join(png.Encode(f, img), f.Close())
}
