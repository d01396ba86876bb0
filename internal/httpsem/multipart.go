package httpsem

// A Multipart is the framing of an answer of several spans (RFC 9110, section
// 14.6): for each of them Preamble and its bytes, and at the end Closing. Its
// header has no Content-Range (section 15.3.7.2).
type Multipart struct {
	boundary    string
	contentType string
	spans       []Span
	size        int64
}

// NewMultipart frames spans of a content of this size, −1 when it is not known.
// The boundary is a token of at most 70 bytes that does not occur in the
// content, so a long random one; contentType is the content's own, empty for
// none.
func NewMultipart(boundary, contentType string, spans []Span, size int64) Multipart {
	return Multipart{boundary, contentType, spans, size}
}

// ContentType gives the Content-Type of the answer.
func (m Multipart) ContentType() string { return "multipart/byteranges; boundary=" + m.boundary }

// Preamble gives the bytes between the content of span i−1 and that of span i.
func (m Multipart) Preamble(i int) string {
	text := "--" + m.boundary + "\r\n"
	if i > 0 {
		text = "\r\n" + text
	}
	if m.contentType != "" {
		text += "Content-Type: " + m.contentType + "\r\n"
	}
	return text + "Content-Range: " + ContentRange(m.spans[i], m.size) + "\r\n\r\n"
}

// Closing gives the bytes after the last span.
func (m Multipart) Closing() string { return "\r\n--" + m.boundary + "--\r\n" }

// Length is the Content-Length of the answer.
func (m Multipart) Length() int64 {
	length := int64(len(m.Closing()))
	for i, s := range m.spans {
		length += int64(len(m.Preamble(i))) + s.Length
	}
	return length
}
