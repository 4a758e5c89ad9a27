package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
)

// Upload is what POST /upload/image is told of an image beside its content.
type Upload struct {
	Name   string            // the file's name, no folder
	Fields map[string]string // type, subfolder, overwrite
}

const fieldLimit = 4 << 10 // bytes of a form's field

// ReadUpload reads a form of at most MaxUpload bytes, its image straight into a file and only its small fields into
// memory. The error is what is wrong with the form, status the answer to it.
func ReadUpload(w http.ResponseWriter, r *http.Request, into io.Writer) (form Upload, status int, err error) {
	r.Body = http.MaxBytesReader(w, r.Body, MaxUpload)
	parts, err := r.MultipartReader()
	if err != nil {
		return form, http.StatusBadRequest, err
	}
	form.Fields = map[string]string{}
	found := false
	for n := 0; ; n++ {
		part, err := parts.NextRawPart()
		if err == io.EOF {
			break
		}
		if err == nil && n >= 16 {
			err = errors.New("the form has more than 16 parts")
		}
		if err != nil {
			return form, uploadStatus(err), err
		}
		if part.FormName() == "image" && !found {
			found, form.Name = true, part.FileName() // its base name only
			disk := &diskWriter{w: into}
			if _, err := io.Copy(disk, part); disk.err != nil {
				return form, http.StatusInsufficientStorage, fmt.Errorf("the image can't be stored: %w", disk.err)
			} else if err != nil {
				return form, uploadStatus(err), err
			}
			continue
		}
		value, err := io.ReadAll(io.LimitReader(part, fieldLimit+1))
		if err == nil && len(value) > fieldLimit {
			err = fmt.Errorf("the field %.100q is longer than %d bytes", part.FormName(), fieldLimit)
		}
		if err != nil {
			return form, uploadStatus(err), err
		}
		form.Fields[part.FormName()] = string(value)
	}
	if !found || form.Name == "" || strings.ContainsAny(form.Name, "\x00\r\n") {
		return form, http.StatusBadRequest, errors.New("the form has no file named image")
	}
	return form, http.StatusOK, nil
}

// diskWriter tells the errors of a disk from those of a network.
type diskWriter struct {
	w   io.Writer
	err error
}

func (d *diskWriter) Write(b []byte) (int, error) {
	n, err := d.w.Write(b)
	d.err = err
	return n, err
}

func uploadStatus(err error) int {
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return http.StatusRequestEntityTooLarge
	}
	return http.StatusBadRequest
}

// Body is the form with its image, streamed; size is the image's bytes.
func (u Upload) Body(image io.Reader, size int64) (body io.Reader, contentType string, length int64) {
	var frame bytes.Buffer
	m := multipart.NewWriter(&frame)
	for name, value := range u.Fields {
		m.WriteField(name, value)
	}
	m.CreateFormFile("image", u.Name)
	before := bytes.Clone(frame.Bytes())
	frame.Reset()
	m.Close()
	return io.MultiReader(bytes.NewReader(before), image, &frame), m.FormDataContentType(), int64(len(before)) + size + int64(frame.Len())
}
