"""What no cluster without a GPU and no machine without a registry has: it says what NVIDIA's dcgm-exporter and kube-state-metrics say,
in their words, on port 9400, and keeps what Alertmanager tells on port 8080."""
import json
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

NAMESPACE = os.environ["NAMESPACE"]
TOLD = []


def text():
    gpu = ('{gpu="0",UUID="GPU-604ac76c-d9cf-fef3-62e9-d92044ab6e52",pci_bus_id="00000000:00:04.0",device="nvidia0",modelName="Tesla T4",'
           f'Hostname="t4",container="comfyui",namespace="{NAMESPACE}",pod="comfyui-0"}}')
    pod = f'{{namespace="{NAMESPACE}",pod="comfyui-0",uid="1",container="comfyui"'
    cron = f'{{namespace="{NAMESPACE}",cronjob="backup"'
    now = time.time()
    lines = []
    for name, labels, value, what in (
        ("DCGM_FI_DEV_GPU_UTIL", gpu, 97, "GPU utilization (in %)."),
        ("DCGM_FI_DEV_FB_USED", gpu, 9215, "Framebuffer memory used (in MiB)."),
        ("DCGM_FI_DEV_FB_FREE", gpu, 5894, "Framebuffer memory free (in MiB)."),
        ("DCGM_FI_DEV_GPU_TEMP", gpu, 66, "GPU temperature (in C)."),
        ("DCGM_FI_DEV_POWER_USAGE", gpu, 68.4, "Power draw (in W)."),
        ("kube_pod_container_status_restarts_total", pod + "}", 0, "The number of container restarts per container."),
        ("kube_pod_container_resource_limits", pod + ',node="box",resource="memory",unit="byte"}', 5.36870912e8, "The number of requested limit resource."),
        ("kube_pod_status_ready", pod.replace(',container="comfyui"', "") + ',condition="true"}', 1, "Describes whether the pod is ready."),
        ("kube_pod_status_phase", pod.replace(',container="comfyui"', "") + ',phase="Succeeded"}', 0, "The pods current phase."),
        ("kube_cronjob_created", cron + "}", now - 86400, "Unix creation timestamp"),
        ("kube_cronjob_spec_suspend", cron + "}", 0, "Suspend flag."),
        ("kube_cronjob_status_last_schedule_time", cron + "}", now - 3600, "When the cronjob was last scheduled."),
        ("kube_cronjob_status_last_successful_time", cron + "}", now - 3500, "When the cronjob was completed successfully."),
        ("kube_cronjob_next_schedule_time", cron + "}", now + 82800, "Next time the cronjob should be scheduled."),
        ("certmanager_certificate_expiration_timestamp_seconds", f'{{namespace="{NAMESPACE}",name="ai-film-tls"}}', now + 60 * 86400, "When it expires."),
    ):
        kind = "counter" if name.endswith("_total") else "gauge"
        lines.append(f"# HELP {name} {what}\n# TYPE {name} {kind}\n{name}{labels} {value}\n")
    return "".join(lines).encode()


class Metrics(BaseHTTPRequestHandler):
    def answer(self, body, kind):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.answer(text(), "text/plain; version=0.0.4")

    def log_message(self, *_):
        pass


class Receiver(Metrics):
    def do_GET(self):
        self.answer(json.dumps(TOLD).encode(), "application/json")

    def do_POST(self):
        TOLD.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))) | {"at": time.time()})
        self.answer(b"", "text/plain")


threading.Thread(target=ThreadingHTTPServer(("", 9400), Metrics).serve_forever).start()
ThreadingHTTPServer(("", 8080), Receiver).serve_forever()
