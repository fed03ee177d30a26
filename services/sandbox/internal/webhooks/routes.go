package webhooks

import (
	"embed"
	"maps"
	"net/http"
	"slices"

	"quittance/pkg/webhook"
	"quittance/services/sandbox/internal/control"
	"quittance/services/sandbox/internal/page"
)

//go:embed *.html
var files embed.FS

var (
	indexPage    = page.Parse(files, "index.html")
	receiverPage = page.Parse(files, "receiver.html")
)

// shown is how many deliveries a receiver's page lists.
const shown = 200

// Routes adds the receivers, their pages, and the control API below /control.
func (r *Receivers) Routes(mux *http.ServeMux) {
	mux.HandleFunc("POST "+Prefix+"/{name}", r.receive)
	mux.HandleFunc("GET "+Prefix+"/{$}", r.showIndex)
	mux.HandleFunc("GET "+Prefix+"/{name}", r.show)
	mux.HandleFunc("GET /control/webhooks", control.Handle(func(*http.Request) (any, error) { return r.names(), nil }))
	mux.HandleFunc("PUT /control/webhooks/{name}", control.Handle(r.put))
	mux.HandleFunc("GET /control/webhooks/{name}", control.Handle(func(req *http.Request) (any, error) {
		return r.list(req.PathValue("name"), 0), nil
	}))
	mux.HandleFunc("PUT /control/webhooks/{name}/answers", control.Handle(r.putAnswers))
}

func (r *Receivers) names() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	names := slices.Sorted(maps.Keys(r.receivers))
	if names == nil {
		return []string{}
	}
	return names
}

func (r *Receivers) put(req *http.Request) (any, error) {
	receiver, err := control.Decode[Receiver](req)
	if err != nil {
		return nil, err
	}
	receiver.Name = req.PathValue("name")
	if len(receiver.Secrets) == 0 {
		return nil, control.Fail(http.StatusBadRequest, "secrets: at least one is needed")
	}
	for _, secret := range receiver.Secrets {
		if err := webhook.CheckSecret(secret); err != nil {
			return nil, control.Fail(http.StatusBadRequest, "secrets: "+err.Error())
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return nil, r.write(record{Receiver: &receiver})
}

func (r *Receivers) putAnswers(req *http.Request) (any, error) {
	answers, err := control.Decode[Answers](req)
	if err != nil {
		return nil, err
	}
	if answers.Status < 200 || answers.Status > 599 || answers.Times < 0 {
		return nil, control.Fail(http.StatusBadRequest, "status must be 200 to 599, times not negative")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answers[req.PathValue("name")] = answers
	return nil, nil
}

func (r *Receivers) showIndex(w http.ResponseWriter, _ *http.Request) {
	page.Write(w, http.StatusOK, indexPage, r.names())
}

type receiverView struct {
	Name       string
	Deliveries []Delivery
}

func (r *Receivers) show(w http.ResponseWriter, req *http.Request) {
	receiver, ok := r.receiver(req.PathValue("name"))
	if !ok {
		http.NotFound(w, req)
		return
	}
	deliveries := r.list(receiver.Name, shown)
	slices.Reverse(deliveries)
	page.Write(w, http.StatusOK, receiverPage, receiverView{Name: receiver.Name, Deliveries: deliveries})
}
